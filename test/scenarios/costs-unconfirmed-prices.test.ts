// A replica on a machine whose price two feeds confirm, until one and then both of them are silent; asked while minutes are open and when they are closed.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CostRepository } from '../../src/costs/cost.repository.ts';
import { makeCostMetrics } from '../../src/costs/costs.metrics.ts';
import { CostsReconciler } from '../../src/costs/costs.reconciler.ts';
import { newId } from '../../src/kernel/id.ts';
import { acquireLease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import { principalOf, seededRandom } from '../support/actors.ts';
import { addPrice, addReplica, makeCostedWorld, makeCostsService } from '../support/costed-world.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
const T0 = Date.parse('2026-10-31T23:55:00Z');
const MINUTE = 60_000;
const UNTIL = T0 + 10 * MINUTE;
const FEEDS = ['one', 'other'];
const admin = principalOf('platform_admin', null);
const idOf = (seed: number) => newId(T0, seededRandom(seed));

let db: TestDatabase;
const say = (text: string, values: readonly unknown[] = []) => db.database.write(SYSTEM, (tx) => sqlOf(tx).execute(text, values));

beforeAll(async () => {
  db = await openTestDatabase();
  const { offeringId, clusterId } = await db.database.write(SYSTEM, async (tx) => {
    const world = await makeCostedWorld(tx, 9, 'acme');
    await addPrice(tx, world, { id: idOf(1), rate: 96_000_000_007n, from: 0, observedAt: 1 });
    await addReplica(tx, world, { id: idOf(2), from: T0, until: UNTIL, transitions: [[T0 + MINUTE, 'serving']] });
    return world;
  });
  // On one's own machine every price is assumed; elsewhere none is.
  await say(`update cluster set kind = 'elsewhere' where id = $1`, [clusterId]);
  for (const [index, feed] of FEEDS.entries()) {
    const columns = `id, name, interval_ms, stale_after_ms, created_at`;
    await say(`insert into price_feed (${columns}) values ($1, $2, 1, 1, 0)`, [idOf(10 + index), feed]);
    await say(`insert into price_claim (feed, offering_id, said, since) values ($1, $2, '', 0)`, [feed, offeringId]);
  }
});
afterAll(() => db.close());

/** As the loop of feeds writes it. */
const silence = async (feed: string): Promise<void> => {
  await say(`update price_feed set stale_since = $2 where name = $1`, [feed, T0]);
  await say(`insert into price_feed_silence (feed, since) values ($1, $2)`, [feed, T0]);
};

const hear = async (): Promise<void> => {
  await say(`update price_feed set stale_since = null`);
  await say(`delete from price_feed_silence`);
};

describe('Price gate: what it costs while feeds are silent', () => {
  test.each([
    ['open', T0 + 7 * MINUTE],
    ['closed', UNTIL + 120 * MINUTE],
  ])('minutes that are %s: an estimate when all who speak of the price are silent, and only then', async (_, now) => {
    const lease = await db.database.write(SYSTEM, (tx) => acquireLease(tx, `costs ${now}`, 'test'));
    const clock = { now: () => now };
    const metrics = makeCostMetrics(makeMetricRegistry());
    const shared = { database: db.database, store: new CostRepository(), clock, logger: quietLogger, metrics };
    const reconciler = new CostsReconciler({ ...shared, lease: () => lease });
    await reconciler.execute(reconciler.plan(await reconciler.prepare(), now), new AbortController().signal);
    const total = async () =>
      (
        await db.database.read({ kind: 'platform' }, (tx) =>
          makeCostsService(db.database).breakdown(tx, admin, { from: T0, to: UNTIL, groupBy: [], now }),
        )
      ).total;
    await hear();
    expect((await total()).estimated).toBe(0n);
    await silence('one');
    expect((await total()).estimated).toBe(0n);
    await silence('other');
    const { cost, estimated } = await total();
    expect(cost).toBeGreaterThan(0n);
    expect(estimated).toBe(cost);
  });
});
