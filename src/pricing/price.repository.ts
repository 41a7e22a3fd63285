import type { CapacityType, Offering } from '../clouds/offering.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Accelerator } from '../kernel/resources.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { CatalogueRegion, CatalogueRow, RegionLatency, ZoneItem } from './catalogue.port.ts';
import { OVERRIDE_CLEARED_SOURCE, OVERRIDE_SOURCE, type PriceRow } from './price-book.ts';
import type { OfferingsQuestion, PriceStore, PricedOffering } from './price-store.port.ts';

/** An arbitrary constant that only this lock uses. */
const BOOK_LOCK = 7_203_911;

const KEY = `(o.provider || '/' || o.region || '/' || coalesce(nullif(o.zone, ''), '-') || '/' || o.instance_type || '/' || o.capacity_type) collate "C"`;
const REGION = `(o.provider || '/' || o.region)`;
const NEWER = (a: string, b: string) =>
  `(${a}.effective_from, ${a}.observed_at, ${a}.id) > (${b}.effective_from, ${b}.observed_at, ${b}.id)`;

/** `believedRowAt` of the price book in SQL; a test compares the two. `now` is a placeholder. */
const believed = (now: string): string => `
  left join lateral (
    select p.* from price p
    where p.offering_id = o.id and p.state = 'believed' and p.effective_from <= ${now} and p.source <> '${OVERRIDE_CLEARED_SOURCE}'
      and not (p.source = '${OVERRIDE_SOURCE}' and exists (
        select 1 from price c where c.offering_id = o.id and c.state = 'believed' and c.source = '${OVERRIDE_CLEARED_SOURCE}'
          and c.effective_from <= ${now} and ${NEWER('c', 'p')}))
    order by (p.source = '${OVERRIDE_SOURCE}') desc, p.effective_from desc, p.observed_at desc, p.id desc limit 1
  ) b on true`;

export const OFFERING_COLUMNS = `o.id, o.provider, o.region, o.zone, o.instance_type, o.capacity_type, o.architecture, o.cpu_milli, o.memory_mib,
  o.accelerator, o.interruption_band`;
export const PRICE_COLUMNS = `b.id as price_id, b.list, b.contracted, b.effective, b.effective_from, b.observed_at, b.source, b.state`;

/**
 * True where feeds speak of the offering and none of them that is heard confirms it, whether they are still configured or not; what no feed
 * speaks of is never stale, nor is a price that somebody set. `now` is a placeholder.
 */
const stale = (now: string): string => `coalesce(b.source <> '${OVERRIDE_SOURCE}', false)
  and exists (select 1 from price_claim c where c.offering_id = o.id)
  and not exists (select 1 from price_claim c join price_feed f on f.name = c.feed where c.offering_id = o.id
    and f.read_at > ${now}::bigint - f.stale_after_ms
    and (c.unconfirmed_since is null or c.unconfirmed_since > ${now}::bigint - f.stale_after_ms)) as stale`;

export interface OfferingRow {
  readonly id: Id;
  readonly provider: string;
  readonly region: string;
  readonly zone: string;
  readonly instance_type: string;
  readonly capacity_type: CapacityType;
  readonly architecture: string;
  readonly cpu_milli: number;
  readonly memory_mib: number | null;
  readonly accelerator: Accelerator | null;
  readonly interruption_band: string | null;
}

export interface PriceColumns {
  readonly price_id: Id;
  readonly list: string;
  readonly contracted: string;
  readonly effective: string;
  readonly effective_from: Instant;
  readonly observed_at: Instant;
  readonly source: string;
  readonly state: PriceRow['state'];
  readonly stale?: boolean;
}

type Joined = OfferingRow & (PriceColumns | { readonly price_id: null });

/** Offerings and the price book in PostgreSQL: platform-wide rows. */
export class PriceRepository implements PriceStore {
  async lockBook(tx: Transaction): Promise<void> {
    await sqlOf(tx).query(`select pg_advisory_xact_lock($1)`, [BOOK_LOCK]);
  }

  async isLoaded(tx: Transaction, digest: string): Promise<boolean> {
    return (await sqlOf(tx).query(`select 1 from price_book_load where digest = $1`, [digest])).length > 0;
  }

  async markLoaded(
    tx: Transaction,
    load: { readonly digest: string; readonly rows: number; readonly at: Instant },
  ): Promise<void> {
    const text = `insert into price_book_load (digest, rows, loaded_at) values ($1, $2, $3) on conflict do nothing`;
    await sqlOf(tx).execute(text, [load.digest, load.rows, load.at]);
  }

  saveRegions(tx: Transaction, regions: readonly CatalogueRegion[]): Promise<number> {
    return sqlOf(tx).execute(
      `insert into region as r (provider, region, location, latitude, longitude, zones)
         select provider, region, location, latitude, longitude, zones from jsonb_to_recordset($1::jsonb)
           as x (provider text, region text, location text, latitude float8, longitude float8, zones text[])
       on conflict (provider, region) do update
         set location = excluded.location, latitude = excluded.latitude, longitude = excluded.longitude, zones = excluded.zones
         where (r.location, r.latitude, r.longitude, r.zones) is distinct from
               (excluded.location, excluded.latitude, excluded.longitude, excluded.zones)`,
      [JSON.stringify(regions)],
    );
  }

  saveLatencies(tx: Transaction, latencies: readonly RegionLatency[]): Promise<number> {
    const ends = latencies.map(({ from, to, rttUs }) => [...splitRegion(from), ...splitRegion(to), rttUs] as const);
    return sqlOf(tx).execute(
      `insert into region_latency as l select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[])
       on conflict (from_provider, from_region, to_provider, to_region) do update set rtt_us = excluded.rtt_us
         where l.rtt_us <> excluded.rtt_us`,
      [0, 1, 2, 3, 4].map((column) => ends.map((row) => row[column])),
    );
  }

  saveZoneItems(tx: Transaction, items: readonly ZoneItem[]): Promise<number> {
    return sqlOf(tx).execute(
      `insert into zone_item select * from unnest($1::text[], $2::text[], $3::text[], $4::text[]) on conflict do nothing`,
      [
        items.map(({ provider }) => provider),
        items.map(({ zone }) => zone),
        items.map(({ kind }) => kind),
        items.map(({ name }) => name),
      ],
    );
  }

  regions(tx: Transaction): Promise<CatalogueRegion[]> {
    return sqlOf(tx).query<CatalogueRegion>(
      `select provider, region, location, latitude, longitude, zones from region order by provider collate "C", region collate "C"`,
    );
  }

  latencies(tx: Transaction): Promise<RegionLatency[]> {
    return sqlOf(tx).query<RegionLatency>(
      `select from_provider || '/' || from_region as "from", to_provider || '/' || to_region as "to", rtt_us as "rttUs" from region_latency`,
    );
  }

  async version(tx: Transaction): Promise<string> {
    // Ids begin with milliseconds: only the rows of the newest are counted, and as a range, which is looked up in the index whatever is known of the table.
    // What was read for long before it was written, the feeds tell.
    const [row] = await sqlOf(tx).query<{ version: string }>(
      `select n.id || ' ' || (select count(*) from price p where p.id between (left(n.id::text, 13) || '-0000-0000-000000000000')::uuid and n.id)
           || ' ' || coalesce((select max(read_at) from price_feed), 0) as version
         from (select id from price order by id desc limit 1) n`,
    );
    return row?.version ?? '';
  }

  zoneItems(tx: Transaction): Promise<ZoneItem[]> {
    return sqlOf(tx).query<ZoneItem>(
      `select provider, zone, kind, name from zone_item order by zone collate "C", name collate "C"`,
    );
  }

  saveOfferings(tx: Transaction, offerings: readonly Offering[]): Promise<number> {
    return sqlOf(tx).execute(
      `insert into offering as o (id, provider, region, zone, instance_type, capacity_type, architecture, cpu_milli, memory_mib,
           accelerator, interruption_band)
         select id, provider, region, zone, "instanceType", "capacityType", architecture, "cpuMilli", "memoryMib",
           nullif(accelerator, 'null'), "interruptionBand"
         from jsonb_to_recordset($1::jsonb) as x (id uuid, provider text, region text, zone text, "instanceType" text,
           "capacityType" text, architecture text, "cpuMilli" int, "memoryMib" int, accelerator jsonb, "interruptionBand" text)
       on conflict (id) do update
         set architecture = excluded.architecture, cpu_milli = excluded.cpu_milli, memory_mib = excluded.memory_mib,
             accelerator = excluded.accelerator, interruption_band = excluded.interruption_band
         where (o.architecture, o.cpu_milli, o.memory_mib, o.accelerator, o.interruption_band) is distinct from
               (excluded.architecture, excluded.cpu_milli, excluded.memory_mib, excluded.accelerator, excluded.interruption_band)`,
      [JSON.stringify(offerings)],
    );
  }

  appendObserved(tx: Transaction, rows: readonly (CatalogueRow & { readonly id: Id })[], now: Instant): Promise<number> {
    const columns = [rows.map((row) => row.id), rows.map((row) => row.offering.id), rows.map((row) => row.price.toString())];
    return sqlOf(tx).execute(
      `with newest as (
         select distinct on (offering_id) offering_id, list from price
         where source not in ('${OVERRIDE_SOURCE}', '${OVERRIDE_CLEARED_SOURCE}')
         order by offering_id, effective_from desc, observed_at desc, id desc)
       insert into price (id, offering_id, list, contracted, effective, effective_from, observed_at, source, state, principal)
         select x.id, x.offering_id, x.amount, x.amount, x.amount, case when n.offering_id is null then least(x.as_of, $6) else $6 end,
           $6, x.source, 'believed', 'reconciler:price-book'
         from unnest($1::uuid[], $2::uuid[], $3::numeric[], $4::text[], $5::bigint[]) as x (id, offering_id, amount, source, as_of)
         left join newest n on n.offering_id = x.offering_id
         where n.list is distinct from x.amount`,
      [...columns, rows.map((row) => row.source), rows.map((row) => row.asOf), now],
    );
  }

  async append(tx: Transaction, row: PriceRow, principal: string): Promise<void> {
    await sqlOf(tx).execute(
      `insert into price (id, offering_id, list, contracted, effective, effective_from, observed_at, source, state, principal)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [
        row.id,
        row.offeringId,
        ...[row.list, row.contracted, row.effective].map(String),
        row.effectiveFrom,
        row.observedAt,
        row.source,
        row.state,
        principal,
      ],
    );
  }

  async lockOffering(tx: Transaction, id: Id): Promise<{ offering: Offering; prices: number } | null> {
    const sql = sqlOf(tx);
    const [row] = await sql.query<OfferingRow>(`select ${OFFERING_COLUMNS} from offering o where id = $1 for update`, [id]);
    if (!row) return null;
    const [count] = await sql.query<{ prices: number }>(`select count(*)::int as prices from price where offering_id = $1`, [id]);
    return { offering: toOffering(row), prices: count?.prices ?? 0 };
  }

  async offeringsIn(tx: Transaction, regions: readonly string[], now: Instant): Promise<PricedOffering[]> {
    const text = `select ${OFFERING_COLUMNS}, ${PRICE_COLUMNS}, ${stale('$2')} from offering o ${believed('$2')} where ${REGION} = any ($1)`;
    return (await sqlOf(tx).query<Joined>(text, [regions, now])).map(toPriced);
  }

  async byIds(tx: Transaction, ids: readonly Id[], now: Instant): Promise<PricedOffering[]> {
    const text = `select ${OFFERING_COLUMNS}, ${PRICE_COLUMNS}, ${stale('$2')} from offering o ${believed('$2')} where o.id = any ($1::uuid[])`;
    return (await sqlOf(tx).query<Joined>(text, [ids, now])).map(toPriced);
  }

  async list(tx: Transaction, question: OfferingsQuestion): Promise<PricedOffering[]> {
    const values: unknown[] = [question.now];
    const put = (value: unknown): string => `$${values.push(value)}`;
    const conditions = [...filterConditions(question, put), ...afterConditions(question, put)];
    const where = conditions.length > 0 ? `where ${conditions.join(' and ')}` : '';
    const order = question.orderBy === 'price' ? `b.effective nulls last, ${KEY}` : KEY;
    const text = `select ${OFFERING_COLUMNS}, ${PRICE_COLUMNS}, ${stale('$1')} from offering o ${believed('$1')} ${where} order by ${order} limit ${put(question.first + 1)}`;
    return (await sqlOf(tx).query<Joined>(text, values)).map(toPriced);
  }

  async rowsOf(tx: Transaction, offeringIds: readonly Id[], before: Instant): Promise<PriceRow[]> {
    const rows = await sqlOf(tx).query<PriceColumns & { offering_id: Id }>(
      `select offering_id, ${PRICE_COLUMNS} from price b where offering_id = any ($1::uuid[]) and effective_from < $2`,
      [offeringIds, before],
    );
    return rows.map((row) => toPrice(row, row.offering_id));
  }
}

/** `provider/region` as two. */
function splitRegion(region: string): readonly [string, string] {
  const [provider = '', ...rest] = region.split('/');
  return [provider, rest.join('/')];
}

type Put = (value: unknown) => string;

function filterConditions({ filter }: OfferingsQuestion, put: Put): string[] {
  const among = (expression: string, values: readonly string[] | undefined) =>
    values ? [`${expression} = any (${put(values)})`] : [];
  const atLeast = (column: string, minimum: number | undefined) =>
    minimum === undefined ? [] : [`${column} >= ${put(minimum)}`];
  return [
    ...among('o.provider', filter.providers),
    ...among(REGION, filter.regions),
    ...among('o.capacity_type', filter.capacityTypes),
    ...among('o.architecture', filter.architectures),
    ...among('o.instance_type', filter.instanceTypes),
    ...among(`o.accelerator ->> 'model'`, filter.acceleratorModels),
    ...atLeast('o.cpu_milli', filter.minCpuMilli),
    ...atLeast('o.memory_mib', filter.minMemoryMib),
    ...(filter.maxPricePerHour === undefined ? [] : [`b.effective <= ${put(filter.maxPricePerHour.toString())}::numeric`]),
  ];
}

function afterConditions({ after, orderBy }: OfferingsQuestion, put: Put): string[] {
  if (!after) return [];
  if (orderBy === 'key') return [`${KEY} > ${put(after.key)}`];
  const tie = `${KEY} > ${put(after.key)}`;
  if (after.price === null) return [`b.effective is null and ${tie}`];
  const price = `${put(after.price.toString())}::numeric`;
  return [`(b.effective is null or b.effective > ${price} or (b.effective = ${price} and ${tie}))`];
}

const toPriced = (row: Joined): PricedOffering => ({
  offering: toOffering(row),
  price: row.price_id === null ? null : toPrice(row, row.id),
});

export const toOffering = (row: OfferingRow): Offering => ({
  id: row.id,
  provider: row.provider,
  region: row.region,
  zone: row.zone,
  instanceType: row.instance_type,
  capacityType: row.capacity_type,
  architecture: row.architecture,
  cpuMilli: row.cpu_milli,
  memoryMib: row.memory_mib,
  accelerator: row.accelerator,
  interruptionBand: row.interruption_band,
});

export const toPrice = (row: PriceColumns, offeringId: Id): PriceRow => ({
  id: row.price_id,
  offeringId,
  list: BigInt(row.list),
  contracted: BigInt(row.contracted),
  effective: BigInt(row.effective),
  effectiveFrom: row.effective_from,
  observedAt: row.observed_at,
  source: row.source,
  state: row.state,
  ...(row.stale ? { stale: true } : {}),
});
