import type { UnreadableRow } from '../clouds/price-feed.port.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import { isCredible, DOUBT_CODES, type DoubtCode, type ForetoldPrice } from './judge-price.ts';
import {
  LATEST,
  leaveRegions,
  letGoClaims,
  markConfirmed,
  markUnconfirmed,
  OBSERVED,
  saveClaims,
} from './price-claim.repository.ts';
import type {
  FeedOutcome,
  FeedWish,
  FeedState,
  KnownRow,
  PriceDraft,
  PriceFeedStore,
  QuarantinedPrice,
  QuarantineQuestion,
  ReadingChange,
} from './price-feed-store.port.ts';
import { OFFERING_COLUMNS, PRICE_COLUMNS, toOffering, toPrice, type OfferingRow, type PriceColumns } from './price.repository.ts';

/** Who wrote the prices that a feed said, and those that follow from them and an agreement. */
export const FEEDS_PRINCIPAL = 'reconciler:price-feeds';
export const AGREEMENTS_PRINCIPAL = 'reconciler:price-agreements';

const EARLIEST = `order by p.effective_from, p.observed_at, p.id limit 1`;
const ANNOUNCED = `
  select jsonb_agg(jsonb_build_object('at', x.effective_from, 'amount', x.list::text) order by x.effective_from) as steps
  from (select distinct on (p.effective_from) p.effective_from, p.list from price p
    where p.offering_id = o.id and ${OBSERVED} and p.effective_from > $3
    order by p.effective_from, p.observed_at desc, p.id desc) x`;
const CREDIBLE = DOUBT_CODES.filter(isCredible);

interface FeedRow {
  readonly id: Id;
  readonly name: string;
  readonly is_configured: boolean;
  readonly interval_ms: number;
  readonly stale_after_ms: number;
  readonly created_at: Instant;
  readonly attempted_at: Instant | null;
  readonly read_at: Instant | null;
  readonly as_of: Instant | null;
  readonly edition: string | null;
  readonly rows_by_region: Readonly<Record<string, number>>;
  readonly rows: number;
  readonly quarantined: number;
  readonly unreadable: readonly UnreadableRow[];
  readonly error_code: string | null;
  readonly error_message: string | null;
  readonly failures: number;
  readonly stale_since: Instant | null;
  readonly version: number;
  readonly awaits_second_read: boolean;
}

type KnownSql = OfferingRow &
  (PriceColumns | { readonly price_id: null }) & {
    readonly announced: readonly { readonly at: Instant; readonly amount: string }[];
    readonly book: string | null;
    readonly first: string | null;
    readonly said: string | null;
    readonly claimed: string | null;
    readonly claimed_from: Instant | null;
    readonly code: DoubtCode | null;
    readonly unconfirmed_since: Instant | null;
  };

interface QuarantinedRow {
  readonly id: Id;
  readonly feed: string;
  readonly offering_id: Id | null;
  readonly offering_key: string;
  readonly amount_text: string;
  readonly unit: string;
  readonly currency: string;
  readonly amount: string | null;
  readonly effective_from: Instant | null;
  readonly code: DoubtCode;
  readonly message: string;
  readonly observed_at: Instant;
  readonly state: QuarantinedPrice['state'];
  readonly decided_at: Instant | null;
  readonly decided_by: string | null;
}

/** Feeds and what they say in PostgreSQL: platform-wide rows, written where something changes. */
export class PriceFeedRepository implements PriceFeedStore {
  async configure(tx: Transaction, feeds: readonly FeedWish[], now: Instant): Promise<void> {
    const sql = sqlOf(tx);
    const columns = [feeds.map(({ id }) => id), feeds.map(({ name }) => name)];
    const paces = [feeds.map(({ intervalMs }) => intervalMs), feeds.map(({ staleAfterMs }) => staleAfterMs)];
    await sql.execute(
      `insert into price_feed as f (id, name, interval_ms, stale_after_ms, created_at)
         select *, $5::bigint from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
       on conflict (name) do update set is_configured = true, interval_ms = excluded.interval_ms, stale_after_ms = excluded.stale_after_ms
         where (f.is_configured, f.interval_ms, f.stale_after_ms) is distinct from (true, excluded.interval_ms, excluded.stale_after_ms)`,
      [...columns, ...paces, now],
    );
    await sql.execute(`update price_feed set is_configured = false where is_configured and not name = any ($1)`, [columns[1]]);
    for (const { name, regions } of feeds) if (regions) await leaveRegions(tx, { name, regions, now });
  }

  letGo(tx: Transaction, now: Instant): Promise<number> {
    return letGoClaims(tx, now);
  }

  /** What says another thing each time is not read again at once: it would be for ever. */
  async feeds(tx: Transaction): Promise<FeedState[]> {
    const rows = await sqlOf(tx).query<FeedRow>(
      `select f.*, exists (select 1 from quarantined_price q where q.feed = f.name and q.state = 'open' and q.observed_at = f.read_at
           and q.code in ('UNCONFIRMED_JUMP', 'FIRST_SEEN') and not exists (select 1 from quarantined_price w
             where w.offering_id = q.offering_id and w.feed = q.feed and w.state = 'withdrawn' and w.decided_at = q.observed_at)) as awaits_second_read
         from price_feed f order by f.name collate "C"`,
    );
    return rows.map(toFeed);
  }

  async known(tx: Transaction, feed: string, regions: readonly string[], now: Instant): Promise<KnownRow[]> {
    const others = await this.#others(tx, feed);
    const rows = await sqlOf(tx).query<KnownSql>(
      `select ${OFFERING_COLUMNS}, ${PRICE_COLUMNS}, coalesce(n.steps, '[]'::jsonb) as announced, l.list as book, i.list as first, c.said, c.amount as claimed, c.effective_from as claimed_from,
           c.code, c.unconfirmed_since
         from offering o
         left join lateral (select p.* from price p where p.offering_id = o.id and ${OBSERVED} and p.effective_from <= $3 ${LATEST}) b
           on true
         left join lateral (select p.list from price p where p.offering_id = o.id and ${OBSERVED} and p.effective_from <= $3
             and p.principal not in ('${FEEDS_PRINCIPAL}', '${AGREEMENTS_PRINCIPAL}') ${LATEST}) l on true
         left join lateral (select p.list from price p where l.list is null and p.offering_id = o.id and ${OBSERVED} ${EARLIEST}) i on true
         left join lateral (${ANNOUNCED}) n on true
         left join price_claim c on c.offering_id = o.id and c.feed = $1
         where (o.provider || '/' || o.region) = any ($2)`,
      [feed, regions, now],
    );
    return rows.map((row) => toKnown(row, others.get(row.id) ?? []));
  }

  /** What the other feeds say that are heard, where it is credible. */
  async #others(tx: Transaction, feed: string): Promise<Map<Id, bigint[]>> {
    const rows = await sqlOf(tx).query<{ offering_id: Id; amounts: readonly string[] }>(
      `select c.offering_id, array_agg(c.amount::text order by f.name) as amounts from price_claim c
         join price_feed f on f.name = c.feed and f.is_configured and f.stale_since is null
         where c.feed <> $1 and c.amount is not null and (c.code is null or c.code = any ($2)) group by 1`,
      [feed, CREDIBLE],
    );
    return new Map(rows.map(({ offering_id, amounts }) => [offering_id, amounts.map(BigInt)]));
  }

  async open(tx: Transaction, feed: string): Promise<Map<string, { code: DoubtCode; said: string }>> {
    const rows = await sqlOf(tx).query<{ key: string; code: DoubtCode; said: string }>(
      `select offering_key as key, code, amount_text || ' ' || currency || '/' || unit as said from quarantined_price
         where feed = $1 and state = 'open'`,
      [feed],
    );
    return new Map(rows.map(({ key, code, said }) => [key, { code, said }]));
  }

  async saveReading(tx: Transaction, change: ReadingChange): Promise<number> {
    const claims = await saveClaims(tx, change);
    const marks = (await markUnconfirmed(tx, change)) + (await markConfirmed(tx, change));
    const prices = await appendPriceRows(tx, change.prices, { at: change.at, principal: FEEDS_PRINCIPAL });
    return claims + marks + prices + (await withdraw(tx, change)) + (await quarantine(tx, change));
  }

  async saveOutcome(tx: Transaction, { name, at, error, read, unreadable }: FeedOutcome): Promise<void> {
    await sqlOf(tx).execute(
      `update price_feed set attempted_at = $2, error_code = $3, error_message = $4, unreadable = $5::jsonb,
           failures = case when $3::text is null then 0 else failures + 1 end,
           quarantined = (select count(*) from quarantined_price where feed = $1 and state = 'open')
         where name = $1`,
      [name, at, error?.code ?? null, error?.message ?? null, JSON.stringify(unreadable)],
    );
    if (!read) return;
    await sqlOf(tx).execute(
      `update price_feed set read_at = $2, as_of = coalesce($3, as_of), rows = $4, rows_by_region = $5::jsonb, edition = $6 where name = $1`,
      [name, at, read.asOf, read.rows, JSON.stringify(read.rowsByRegion), read.edition],
    );
  }

  async saveSilence(tx: Transaction, name: string, since: Instant | null, at: Instant): Promise<void> {
    const sql = sqlOf(tx);
    await sql.execute(`update price_feed set stale_since = $2, version = version + 1 where name = $1`, [name, since]);
    if (since === null) {
      await sql.execute(`update price_feed_silence set until = $2 where feed = $1 and until is null`, [name, at]);
    } else {
      await sql.execute(`insert into price_feed_silence (feed, since) values ($1, $2) on conflict do nothing`, [name, since]);
    }
  }

  async versions(tx: Transaction, offeringIds: readonly Id[]): Promise<Map<Id, number>> {
    const rows = await sqlOf(tx).query<{ id: Id; version: number }>(
      `select x.id, (select count(*) from price p where p.offering_id = x.id)::int
           + (select count(*) + count(*) filter (where q.state in ('accepted', 'dismissed')) from quarantined_price q
              where q.offering_id = x.id)::int as version
         from unnest($1::uuid[]) as x (id)`,
      [offeringIds],
    );
    return new Map(rows.map(({ id, version }) => [id, version]));
  }

  async quarantined(tx: Transaction, { feed, states, first, after }: QuarantineQuestion): Promise<QuarantinedPrice[]> {
    const rows = await sqlOf(tx).query<QuarantinedRow>(
      `select * from quarantined_price where state = any ($1) and ($2::text is null or feed = $2) and ($3::uuid is null or id < $3)
         order by id desc limit $4`,
      [states, feed ?? null, after, first + 1],
    );
    return rows.map(toQuarantined);
  }

  async quarantinedById(tx: Transaction, id: Id): Promise<QuarantinedPrice | null> {
    const [row] = await sqlOf(tx).query<QuarantinedRow>(`select * from quarantined_price where id = $1`, [id]);
    return row ? toQuarantined(row) : null;
  }

  async lockQuarantined(tx: Transaction, id: Id): Promise<QuarantinedPrice | null> {
    const [row] = await sqlOf(tx).query<QuarantinedRow>(`select * from quarantined_price where id = $1 for update`, [id]);
    return row ? toQuarantined(row) : null;
  }

  async decide(
    tx: Transaction,
    row: QuarantinedPrice,
    { state, at, by }: { readonly state: 'accepted' | 'dismissed'; readonly at: Instant; readonly by: string },
  ): Promise<void> {
    const sql = sqlOf(tx);
    await sql.execute(`update quarantined_price set state = $2, decided_at = $3, decided_by = $4 where id = $1`, [
      row.id,
      state,
      at,
      by,
    ]);
    // Who is dismissed has no say where feeds are compared.
    const said = state === 'accepted' ? row.amount : null;
    await sql.execute(
      `update price_claim set code = null, amount = $3, effective_from = $4, unconfirmed_since = null where feed = $1 and offering_id = $2`,
      [row.feed, row.offeringId, said?.toString() ?? null, row.row.effectiveFrom],
    );
    await sql.execute(
      `update price_feed set quarantined = (select count(*) from quarantined_price where feed = $1 and state = 'open') where name = $1`,
      [row.feed],
    );
  }
}

const text = (amounts: readonly (bigint | null)[]): (string | null)[] => amounts.map((amount) => amount?.toString() ?? null);

/** Appends believed prices. Returns rows written. */
export async function appendPriceRows(
  tx: Transaction,
  prices: readonly PriceDraft[],
  { at, principal }: { readonly at: Instant; readonly principal: string },
): Promise<number> {
  if (prices.length === 0) return 0;
  return sqlOf(tx).execute(
    `insert into price (id, offering_id, list, contracted, effective, effective_from, observed_at, source, state, principal)
       select x.id, x.offering_id, x.list, x.contracted, x.effective, x.effective_from, $1::bigint, x.source, 'believed', $2
       from unnest($3::uuid[], $4::uuid[], $5::numeric[], $6::numeric[], $7::numeric[], $8::bigint[], $9::text[])
         as x (id, offering_id, list, contracted, effective, effective_from, source)`,
    [
      at,
      principal,
      prices.map(({ id }) => id),
      prices.map(({ offeringId }) => offeringId),
      text(prices.map(({ list }) => list)),
      text(prices.map(({ contracted }) => contracted)),
      text(prices.map(({ effective }) => effective)),
      prices.map(({ effectiveFrom }) => effectiveFrom),
      prices.map(({ source }) => source),
    ],
  );
}

async function withdraw(tx: Transaction, { feed, at, withdrawn }: ReadingChange): Promise<number> {
  if (withdrawn.length === 0) return 0;
  return sqlOf(tx).execute(
    `update quarantined_price set state = 'withdrawn', decided_at = $2, decided_by = '${FEEDS_PRINCIPAL}'
       where feed = $1 and state = 'open' and offering_key = any ($3)`,
    [feed, at, withdrawn],
  );
}

async function quarantine(tx: Transaction, { feed, at, quarantined }: ReadingChange): Promise<number> {
  if (quarantined.length === 0) return 0;
  const rows = quarantined.map(({ row, amount, ...rest }) => ({ ...rest, ...row, text: row.amount, amount: amount?.toString() }));
  return sqlOf(tx).execute(
    `insert into quarantined_price (id, feed, offering_id, offering_key, amount_text, unit, currency, amount, effective_from, code, message,
         observed_at)
       select id, $1, "offeringId", "offeringKey", text, unit, currency, amount, "effectiveFrom", code, message, $2::bigint
       from jsonb_to_recordset($3::jsonb) as x (id uuid, "offeringId" uuid, "offeringKey" text, text text, unit text, currency text,
         amount numeric, "effectiveFrom" bigint, code text, message text)`,
    [feed, at, JSON.stringify(rows)],
  );
}

const toFeed = (row: FeedRow): FeedState => ({
  id: row.id,
  name: row.name,
  isConfigured: row.is_configured,
  intervalMs: row.interval_ms,
  staleAfterMs: row.stale_after_ms,
  createdAt: row.created_at,
  attemptedAt: row.attempted_at,
  readAt: row.read_at,
  asOf: row.as_of,
  edition: row.edition,
  rowsByRegion: row.rows_by_region,
  rows: row.rows,
  quarantined: row.quarantined,
  awaitsSecondRead: row.awaits_second_read,
  unreadable: row.unreadable,
  errorCode: row.error_code,
  errorMessage: row.error_message,
  failures: row.failures,
  staleSince: row.stale_since,
  version: row.version,
});

const toKnown = (row: KnownSql, others: readonly bigint[]): KnownRow => ({
  offering: toOffering(row),
  lastGood: row.price_id === null ? null : toPrice(row, row.id),
  announced: row.announced.map(({ at, amount }): ForetoldPrice => ({ at, amount: BigInt(amount) })),
  list: row.book === null ? null : BigInt(row.book),
  first: row.first === null ? null : BigInt(row.first),
  claim:
    row.said === null
      ? null
      : {
          said: row.said,
          amount: row.claimed === null ? null : BigInt(row.claimed),
          effectiveFrom: row.claimed_from,
          code: row.code,
          unconfirmedSince: row.unconfirmed_since,
        },
  others,
});

const toQuarantined = (row: QuarantinedRow): QuarantinedPrice => ({
  id: row.id,
  feed: row.feed,
  offeringId: row.offering_id,
  offeringKey: row.offering_key,
  row: { amount: row.amount_text, unit: row.unit, currency: row.currency, effectiveFrom: row.effective_from },
  amount: row.amount === null ? null : BigInt(row.amount),
  code: row.code,
  message: row.message,
  observedAt: row.observed_at,
  state: row.state,
  decidedAt: row.decided_at,
  decidedBy: row.decided_by,
});
