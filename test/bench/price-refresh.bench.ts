// A feed of 50,000 prices read into the embedded PostgreSQL by the real loop: all of them new to it, two in a hundred changed, none changed.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Offering } from '../../src/clouds/offering.ts';
import { offeringIdOf } from '../../src/clouds/offering-key.ts';
import type { ObservedPrice } from '../../src/clouds/price-feed.port.ts';
import type { Database } from '../../src/persistence/database.ts';
import { acquireLease, renewLease } from '../../src/persistence/lease.ts';
import { openDatabase } from '../../src/persistence/open-database.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { AgreementRepository } from '../../src/pricing/agreement.repository.ts';
import { PriceFeedRepository } from '../../src/pricing/price-feed.repository.ts';
import { PriceFeedsReconciler } from '../../src/pricing/price-feeds.reconciler.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { makePricingMetrics } from '../../src/pricing/pricing.metrics.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import { seededRandom } from '../support/actors.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import type { BenchRow } from './bench-row.ts';

const SCOPE = { kind: 'reconciler', loop: 'bench' } as const;
const ROWS = 50_000;
const REGIONS = 25;
const CHANGED = ROWS / 50;
const INTERVAL_MS = 60_000;
const GOAL = '≤ 3';

const offerings: readonly Offering[] = Array.from({ length: ROWS }, (_, index) => {
  const key = {
    ...{ provider: 'bench', region: `region-${index % REGIONS}`, zone: '', instanceType: `type-${Math.floor(index / REGIONS)}` },
    capacityType: 'on_demand' as const,
  };
  const shape = { architecture: 'amd64', cpuMilli: 4_000, memoryMib: 16_384, accelerator: null, interruptionBand: null };
  return { ...key, ...shape, id: offeringIdOf(key) };
});

const priced = (changed: number, amount: string): ObservedPrice[] =>
  offerings.map((key, index) => ({
    key,
    amount: index < changed ? amount : '0.1',
    currency: 'USD',
    unit: 'hour',
    effectiveFrom: null,
  }));

/** Seconds of one reading of each kind, and how many rows it wrote. */
export async function run(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'purser-bench-'));
  await chmod(folder, 0o755);
  const opened = await openDatabase({ dataDir: join(folder, 'data'), systemFolder: join(folder, 'system') });
  try {
    return await measure(opened.database);
  } finally {
    await opened.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(database: Database): Promise<BenchRow[]> {
  let now = Date.now();
  let prices = priced(0, '');
  const regions = Array.from({ length: REGIONS }, (_, index) => `bench/region-${index}`);
  const feed = {
    name: 'bench',
    listOfferings: () => Promise.resolve({ offerings, unreadable: [] }),
    observePrices: () => Promise.resolve({ prices, unreadable: [], asOf: null }),
  };
  const lease = await database.write(SCOPE, (tx) => acquireLease(tx, 'price-feeds', 'bench'));
  const reconciler = new PriceFeedsReconciler({
    ...{ database, clock: { now: () => now }, random: seededRandom(1), logger: quietLogger, lease: () => lease },
    ...{ feeds: new Map([['bench', { feed, regions, intervalMs: INTERVAL_MS }]]), staleAfterMs: INTERVAL_MS },
    ...{ store: new PriceFeedRepository(), prices: new PriceRepository(), agreements: new AgreementRepository() },
    metrics: makePricingMetrics(makeMetricRegistry()),
  });
  /** One reading, with the seconds that it took and the rows that it wrote. */
  const read = async (): Promise<{ seconds: number; written: number }> => {
    now += INTERVAL_MS;
    if (lease) await database.write(SCOPE, (tx) => renewLease(tx, lease));
    const before = await transactionNow(database);
    const started = performance.now();
    await reconciler.execute(reconciler.plan(await reconciler.prepare(), now), new AbortController().signal);
    const seconds = Math.round(performance.now() - started) / 1000;
    return { seconds, written: await writtenSince(database, before) };
  };
  await read();
  const confirmed = await read();
  prices = priced(CHANGED, '0.11');
  const changed = await read();
  const same = await read();
  return [
    { name: `price refresh: ${ROWS} prices, each of them written`, value: confirmed.seconds, unit: 's', goal: GOAL },
    { name: `price refresh: ${ROWS} prices, ${CHANGED} of them changed`, value: changed.seconds, unit: 's', goal: GOAL },
    {
      name: 'price refresh: price rows and claims written for those',
      value: changed.written,
      unit: 'rows',
      goal: `${2 * CHANGED}`,
    },
    { name: `price refresh: ${ROWS} prices, none changed`, value: same.seconds, unit: 's', goal: GOAL },
    { name: 'price refresh: price rows and claims written for those', value: same.written, unit: 'rows', goal: '0' },
  ];
}

/** The transaction that the server begins now; every later one has a higher number. */
async function transactionNow(database: Database): Promise<number> {
  const [row] = await database.write(SCOPE, (tx) =>
    sqlOf(tx).query<{ id: number }>(`select pg_current_xact_id()::text::int8 as id`),
  );
  return row?.id ?? 0;
}

/** Rows that were inserted or updated by later transactions than this one: each says itself who wrote it. */
async function writtenSince(database: Database, transaction: number): Promise<number> {
  const [row] = await database.read(SCOPE, (tx) =>
    sqlOf(tx).query<{ written: number }>(
      `select ((select count(*) from price where xmin::text::int8 > $1)
             + (select count(*) from price_claim where xmin::text::int8 > $1))::int8 as written`,
      [transaction],
    ),
  );
  return row?.written ?? 0;
}
