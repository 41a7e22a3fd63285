// A feed that says what no table can hold, told to the real loop over a real database beside one that is well: its reading is kept as far as it can
// be, its neighbour is heard, and what cannot be kept at all is told and not asked for again before its time.
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { offeringIdOf } from '../../src/clouds/offering-key.ts';
import type { Offering } from '../../src/clouds/offering.ts';
import type { ObservedPrice } from '../../src/clouds/price-feed.port.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { FEED_INTERVAL_MS, openPriceWorld, SCOPE, toObserved, ToldFeed, type PriceWorld } from '../support/price-feed-world.ts';

const START = Date.parse('2026-11-21T00:00:00Z');
const REGION = 'aws/us-east-1';
const broken = new ToldFeed('broken');
const sound = new ToldFeed('sound');
let world: PriceWorld;
let truth: readonly ObservedPrice[] = [];

const nextPass = async (): Promise<void> => {
  world.world.now += FEED_INTERVAL_MS;
  await world.pass();
};
const rows = async (table: string) =>
  (await world.db.database.read(SCOPE, (tx) => sqlOf(tx).query<{ n: number }>(`select count(*)::int as n from ${table}`)))[0]?.n;
const stateOf = async (name: string) =>
  (await world.db.database.read(SCOPE, (tx) => world.store.feeds(tx))).find((feed) => feed.name === name);
const odd = (change: Partial<Offering>): Offering => {
  const key = {
    provider: 'aws',
    region: 'us-east-1',
    zone: '',
    instanceType: 'odd',
    capacityType: 'on_demand' as const,
    ...change,
  };
  const shape = { architecture: 'amd64', cpuMilli: 2000, memoryMib: 8192, accelerator: null, interruptionBand: null };
  return { ...shape, ...key, ...change, id: offeringIdOf(key) };
};

describe('Price gate: what no table can hold', () => {
  beforeAll(async () => {
    world = await openPriceWorld(START, [broken, sound], [REGION]);
    truth = world.book.map(toObserved);
    broken.says(truth);
    sound.says(truth);
    await world.pass();
  });
  afterAll(() => world.db.close());

  test('ends of text, half characters, endless digits and dates, machines beyond measure: the rest of the reading is kept', async () => {
    const [prices, offerings] = [await rows('price'), await rows('offering')];
    const damage: readonly Partial<ObservedPrice>[] = [
      { amount: '0.1\0' },
      { amount: '\ud800' },
      { amount: '9'.repeat(1_000_000) },
      { currency: 'U\0SD' },
      { unit: '\udc00' },
      { effectiveFrom: Number.NaN },
      { effectiveFrom: Number.POSITIVE_INFINITY },
      { key: odd({ instanceType: 'm5\0large' }) },
      { key: odd({ instanceType: 'm5\ud800large' }) },
    ];
    broken.offerings = [
      ...[odd({ instanceType: 'a\0b' }), odd({ cpuMilli: 1e13 }), odd({ memoryMib: 1e13 }), odd({ cpuMilli: 1.5 })],
      ...[odd({ interruptionBand: '<5\0%' }), odd({ architecture: '\ud800' }), odd({ region: 'us-west-2' })],
    ];
    broken.says(truth.map((row, n) => ({ ...row, ...damage[n] })));
    await nextPass();
    await nextPass();
    expect(await stateOf('broken')).toMatchObject({ errorCode: null, quarantined: 5, failures: 0, readAt: world.world.now });
    expect((await stateOf('broken'))?.unreadable).toHaveLength(4);
    expect(await stateOf('sound')).toMatchObject({ errorCode: null, readAt: world.world.now });
    expect([await rows('price'), await rows('offering')]).toEqual([prices, offerings]);
    broken.offerings = [];
  });

  test('an answer without end is no answer', async () => {
    const [row] = truth;
    broken.says(Array.from({ length: 300_001 }, () => row!));
    await nextPass();
    expect(await stateOf('broken')).toMatchObject({ errorCode: 'UNKNOWN', failures: 1 });
    expect((await stateOf('broken'))?.errorMessage).toMatch(/names 300001 offerings; at most 300000/);
    broken.says(truth);
    await nextPass();
    expect(await stateOf('broken')).toMatchObject({ errorCode: null });
  });

  test('what the database refuses is told, keeps nobody else, and is not asked for again at once', async () => {
    const owner = new Client({ connectionString: world.db.ownerUrl });
    await owner.connect();
    await owner.query(
      `alter table price_claim add constraint full_up check (feed <> 'broken' or said not like '0.777 %') not valid`,
    );
    try {
      broken.says(truth.map((row, n) => (n === 0 ? { ...row, amount: '0.777' } : row)));
      await nextPass();
      expect(await stateOf('broken')).toMatchObject({ errorCode: 'NOT_KEPT', failures: 1, attemptedAt: world.world.now });
      expect(await stateOf('sound')).toMatchObject({ errorCode: null, readAt: world.world.now });
    } finally {
      await owner.end();
    }
  });
});
