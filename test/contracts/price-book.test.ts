// The bundled price book in a real database: loaded, loaded again, overridden; SQL and code must believe the same price.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { offeringIdOf, offeringKeyText } from '../../src/clouds/offering-key.ts';
import { parseUsd } from '../../src/kernel/money.ts';
import type { Principal } from '../../src/kernel/principal.ts';
import { Market } from '../../src/deployments/market.service.ts';
import { packageRoot } from '../../src/main/package-root.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { BundledCatalogue } from '../../src/pricing/bundled-catalogue.adapter.ts';
import type { Catalogue, CataloguePort } from '../../src/pricing/catalogue.port.ts';
import { believedRowAt } from '../../src/pricing/price-book.ts';
import type { OfferingCursor } from '../../src/pricing/price-store.port.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { PricesService } from '../../src/pricing/prices.service.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { principalOf, seededRandom } from '../support/actors.ts';

const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
const KEY = { provider: 'aws', region: 'us-east-1', zone: '', instanceType: 'm5.large', capacityType: 'on_demand' } as const;
const ID = offeringIdOf(KEY);
const START = Date.parse('2026-11-21T00:00:00Z');

let db: TestDatabase;
let now = START;
const store = new PriceRepository();
const bundled = new BundledCatalogue(join(packageRoot, 'deploy', 'price-book'));
const admin: Principal = principalOf('platform_admin', null);
const service = (catalogue: CataloguePort = bundled) => {
  const clock = { now: () => now };
  const commands = new Commands({ database: db.database, clock });
  return new PricesService({ database: db.database, commands, clock, random: seededRandom(now), catalogue, store });
};
const priceAt = (at: number) =>
  db.database.read(SYSTEM, async (tx) => (await service().believedAt(tx, [ID], at)).get(ID)?.effective);

/** The bundled book with one price changed. */
const changed = (price: bigint): CataloguePort => ({
  digest: () => Promise.resolve(`changed to ${price}`),
  read: async (): Promise<Catalogue> => {
    const book = await bundled.read();
    return { ...book, rows: book.rows.map((row) => (row.offering.id === ID ? { ...row, price } : row)) };
  },
});

describe('Price book: bundled prices, loaded once, with source and date', () => {
  beforeAll(async () => {
    db = await openTestDatabase();
  });
  afterAll(() => db.close());

  test('loads every row with its source and date, and a second load writes nothing', async () => {
    const { rows } = await bundled.read();
    expect(rows.length).toBeGreaterThan(18_000);
    expect(await service().loadCatalogue()).toEqual({ written: rows.length });
    expect(await service().loadCatalogue()).toEqual({ written: 0 });
    const [price] = await db.database.read(SYSTEM, (tx) => store.rowsOf(tx, [ID], now));
    expect(price).toMatchObject({
      effective: parseUsd('0.096'),
      source: 'karpenter-aws@2026-07-20',
      effectiveFrom: Date.parse('2026-07-20'),
    });
  });

  test('the book is whole: every type of three clouds, on demand and spot, with source, date, shape, regions, zones and round trips', async () => {
    const { rows, regions, latencies } = await bundled.read();
    const count = (capacityType: string) =>
      Object.fromEntries(
        [
          ...Map.groupBy(
            rows.filter(({ offering }) => offering.capacityType === capacityType),
            ({ offering }) => offering.provider,
          ),
        ].map(([provider, of]) => [provider, of.length]),
      );
    expect(count('on_demand')).toEqual({ aws: 3361, azure: 5101, gcp: 3287 });
    expect(count('spot')).toEqual({ aws: 3167, azure: 3144, gcp: 3287 });
    expect(rows.filter(({ source }) => !/^[a-z0-9-]+@\d{4}-\d{2}-\d{2}$/.test(source))).toEqual([]);
    expect(rows.filter(({ price, offering }) => price <= 0n || offering.cpuMilli <= 0)).toEqual([]);
    const bands = new Set(rows.flatMap(({ offering }) => offering.interruptionBand ?? []));
    expect([...bands].sort()).toEqual(['10-15%', '15-20%', '5-10%', '<5%', '>20%']);
    expect(rows.filter(({ offering }) => offering.accelerator).length).toBeGreaterThan(1_500);
    const named = new Set(regions.map(({ provider, region }) => `${provider}/${region}`));
    expect(named.size).toBe(30);
    expect(rows.filter(({ offering }) => !named.has(`${offering.provider}/${offering.region}`))).toEqual([]);
    expect(regions.filter(({ provider, zones }) => provider !== 'azure' && zones.length === 0)).toEqual([]);
    expect(latencies).toHaveLength(729);
    expect(latencies.filter(({ from, to }) => !named.has(from) || !named.has(to))).toEqual([]);
  });

  test('says how far regions are from each other, and which zones offer what', async () => {
    const { roundTripMs, zonesOf } = await db.database.read(SYSTEM, (tx) => service().places(tx));
    expect(roundTripMs('aws/us-east-1', 'gcp/us-east4')).toBeLessThan(20);
    expect(roundTripMs('aws/us-east-1', 'gcp/asia-northeast1')).toBeGreaterThan(100);
    expect(roundTripMs('aws/us-east-1', 'azure/eastus')).toBeNull();
    expect(zonesOf.get('aws/us-east-1')).toContain('us-east-1a');
    const regions = await db.database.read(SYSTEM, (tx) => service().regions(tx, admin));
    const zone = regions.flatMap(({ zones }) => zones).find(({ name }) => name === 'us-central1-a');
    expect(zone?.items).toContainEqual({ provider: 'gcp', zone: 'us-central1-a', kind: 'machine_type', name: 'a2-highgpu-1g' });
  });

  test('gives the offerings of a region as candidates, each with a price', async () => {
    const candidates = await db.database.read(SYSTEM, (tx) => service().candidates(tx, { regions: ['aws/us-east-1'] }));
    expect(candidates.length).toBeGreaterThan(500);
    expect(candidates.every(({ offering, price }) => offering.region === 'us-east-1' && price !== null)).toBe(true);
  });

  test('what is held of the market has a bound: the same regions once, however they are said, and not every set', async () => {
    const market = new Market({ prices: service(), clock: { now: () => now } });
    const view = (...patterns: string[]) => db.database.read(SYSTEM, (tx) => market.view(tx, patterns));
    const all = ['aws/*', 'azure/*', 'gcp/*'];
    const first = await view(...all);
    expect(await view(...all.toReversed(), 'gcp/*')).toBe(first);
    for (const other of ['a', 'b', 'c', 'd', 'e']) await view(...all, `other/${other}`);
    expect(await view(...all, 'other/e')).not.toBe(first);
    expect(await view(...all)).not.toBe(first);
  });

  test('a newer book writes only what changed and leaves the past alone', async () => {
    now = START + 60_000;
    expect(await service(changed(100_000_000_000n)).loadCatalogue()).toEqual({ written: 1 });
    expect(await priceAt(now - 1)).toBe(96_000_000_000n);
    expect(await priceAt(now)).toBe(100_000_000_000n);
  });

  test('an override wins until it is cleared, and each change is an event with before and after', async () => {
    now = START + 120_000;
    const set = { principal: admin, idempotencyKey: null };
    expect(await service().setOverride(set, { key: KEY, pricePerHour: 1n })).toEqual({
      ok: true,
      value: { offeringId: ID, at: now },
    });
    expect(await priceAt(now)).toBe(1n);
    now += 60_000;
    expect((await service().setOverride(set, { key: KEY, pricePerHour: null })).ok).toBe(true);
    expect(await priceAt(now)).toBe(100_000_000_000n);
    const events = await db.database.read(SYSTEM, (tx) =>
      sqlOf(tx).query<{ type: string; before: { pricePerHour: string }; after: { pricePerHour: string } }>(
        `select type, before, after from outbox where subject_id = $1 order by seq`,
        [ID],
      ),
    );
    expect(events.map(({ type, before, after }) => [type, before.pricePerHour, after.pricePerHour])).toEqual([
      ['price.changed', '0.1', '0.000000000001'],
      ['price.changed', '0.000000000001', '0.1'],
    ]);
  });

  test('nobody but a platform administrator sets prices, and everybody else cannot tell what exists', async () => {
    const caller = { principal: principalOf('team_admin', '00000000-0000-7000-8000-000000000001'), idempotencyKey: null };
    const refused = await service().setOverride(caller, { key: KEY, pricePerHour: 1n });
    expect(await service().setOverride(caller, { key: { ...KEY, instanceType: 'none' }, pricePerHour: 1n })).toEqual(refused);
    expect(refused).toMatchObject({ ok: false, error: { code: 'NOT_FOUND', path: ['input', 'offering'] } });
    const below = await service().setOverride({ principal: admin, idempotencyKey: null }, { key: KEY, pricePerHour: -1n });
    expect(below).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT', path: ['input', 'pricePerHour'] } });
  });

  test('whether a price was added is told without reading all that ever were', async () => {
    const version = () => db.database.read(SYSTEM, (tx) => store.version(tx));
    const before = await version();
    expect(await version()).toBe(before);
    now += 60_000;
    const set = { principal: admin, idempotencyKey: null };
    await service().setOverride(set, { key: KEY, pricePerHour: 2n });
    const after = await version();
    expect(after).not.toBe(before);
    const read = await db.database.read(SYSTEM, async (tx) => {
      // Of the connection, what earlier transactions on it read included.
      const rowsRead = async () => {
        const [row] = await sqlOf(tx).query<{ rows: number }>(
          `select (seq_tup_read + coalesce(idx_tup_fetch, 0))::int as rows from pg_stat_xact_user_tables where relname = 'price'`,
        );
        return row?.rows ?? 0;
      };
      const earlier = await rowsRead();
      await store.version(tx);
      return (await rowsRead()) - earlier;
    });
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(100);
    now += 1;
    await service().setOverride(set, { key: KEY, pricePerHour: null });
    expect(await version()).not.toBe(after);
  });

  test('SQL and code believe the same price at every instant', async () => {
    const rows = await db.database.read(SYSTEM, (tx) => store.rowsOf(tx, [ID], now + 1));
    for (const at of rows.flatMap((row) => [row.effectiveFrom - 1, row.effectiveFrom, row.effectiveFrom + 1])) {
      expect(await priceAt(at)).toBe(believedRowAt(rows, at)?.effective);
    }
  });

  test.each(['key', 'price'] as const)('pages by %s give every offering once', async (orderBy) => {
    const filter = { regions: ['aws/us-east-2', 'gcp/us-central1'], minCpuMilli: 8000 };
    const pageAfter = (after: OfferingCursor | null) =>
      db.database.read(SYSTEM, (tx) => service().list(tx, admin, { filter, orderBy, first: 100, after, now }));
    const seen: string[] = [];
    for (let page = await pageAfter(null); ;) {
      seen.push(...page.items.map(({ offering }) => offering.id));
      const last = page.items.at(-1);
      if (!page.hasNextPage || !last) break;
      page = await pageAfter({ key: offeringKeyText(last.offering), price: last.price?.effective ?? null });
    }
    const all = await db.database.read(SYSTEM, (tx) => store.list(tx, { filter, orderBy, first: 20_000, after: null, now }));
    expect(seen).toEqual(all.map(({ offering }) => offering.id));
    expect(new Set(seen).size).toBe(seen.length);
  });
});
