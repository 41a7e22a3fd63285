// Feeds that are told what to say, read by the real loop into a real database; what counts is what the price book believes afterwards, and
// how many rows were written for it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { offeringIdOf, offeringKeyText } from '../../src/clouds/offering-key.ts';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import type { ObservedPrice } from '../../src/clouds/price-feed.port.ts';
import { parseUsd } from '../../src/kernel/money.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { planPlacement } from '../../src/scheduler/plan-placement.ts';
import {
  FEED_INTERVAL_MS,
  openPriceWorld,
  SCOPE,
  STALE_AFTER_MS,
  toObserved,
  ToldFeed,
  type PriceWorld,
} from '../support/price-feed-world.ts';

const START = Date.parse('2026-11-21T00:00:00Z');
const KEY = { provider: 'aws', region: 'us-east-1', zone: '', instanceType: 'm5.large', capacityType: 'on_demand' } as const;
const ID = offeringIdOf(KEY);

let world: PriceWorld;
let truth: readonly ObservedPrice[] = [];
const first = new ToldFeed('first');
const second = new ToldFeed('second');

/** Everything as it is in the book, but for one price. */
const withPrice = (amount: string): ObservedPrice[] =>
  truth.map((row) => (offeringIdOf(row.key) === ID ? { ...row, amount } : row));

const effective = () =>
  world.db.database.read(SCOPE, async (tx) => (await world.service.believedAt(tx, [ID], world.world.now)).get(ID));

const written = async (): Promise<Record<string, number>> => {
  const [row] = await world.db.database.read(SCOPE, (tx) =>
    sqlOf(tx).query<Record<string, number>>(
      `select (select count(*) from price)::int as prices, (select count(*) from price_claim)::int as claims,
          (select count(*) from quarantined_price)::int as quarantined, (select count(*) from outbox)::int as events`,
    ),
  );
  return row ?? {};
};

const events = async (after: number): Promise<string[]> =>
  (
    await world.db.database.read(SCOPE, (tx) =>
      sqlOf(tx).query<{ type: string }>(`select type from outbox order by seq offset $1`, [after]),
    )
  ).map(({ type }) => type);

const open = () =>
  world.db.database.read(SCOPE, (tx) => world.store.quarantined(tx, { states: ['open'], first: 100, after: null }));

const feedState = async (name: string) =>
  (await world.db.database.read(SCOPE, (tx) => world.store.feeds(tx))).find((feed) => feed.name === name);

/** Where a small model would go, and which reasons were left after size, place and kind. */
const chosen = () =>
  world.db.database.read(SCOPE, async (tx) => {
    const regions = ['aws/us-east-1'];
    const demand = { resources: { cpuMilli: 1, memoryMib: 1, accelerator: null }, capacityTypes: ['on_demand'] as const };
    const candidates = (await world.service.candidates(tx, { regions })).filter(
      ({ offering }) => offering.capacityType === 'on_demand' && offering.architecture === 'amd64' && offering.memoryMib !== null,
    );
    const placement = planPlacement({ demand, policy: { regions }, candidates }, world.world.now);
    const key = placement.chosen && offeringKeyText(placement.chosen.offering);
    return { chosen: key, codes: Object.keys(placement.rejectedCounts) };
  });

/** The next time that every feed is due. */
const nextPass = async (): Promise<void> => {
  world.world.now += FEED_INTERVAL_MS;
  await world.pass();
};

describe('Price gate: feeds move the book only by what is believed', () => {
  beforeAll(async () => {
    world = await openPriceWorld(START, [first, second], ['aws/us-east-1', 'gcp/us-central1']);
    truth = world.book.map(toObserved);
    first.says(truth);
    second.says(truth);
  });
  afterAll(() => world.db.close());

  test('a first reading of known prices moves none; an unchanged one writes nothing but that the feed was heard', async () => {
    const before = await written();
    await world.pass();
    const after = await written();
    expect(after).toEqual({ ...before, claims: truth.length * 2 });
    await nextPass();
    expect(await written()).toEqual(after);
    expect(await feedState('first')).toMatchObject({ readAt: world.world.now, rows: truth.length, failures: 0, errorCode: null });
  });

  test('a price that moved is one new row with feed and date, and one event', async () => {
    const before = await written();
    first.says(withPrice('0.1'));
    second.says(withPrice('0.1'));
    await nextPass();
    await nextPass();
    expect(await effective()).toMatchObject({
      effective: parseUsd('0.1'),
      source: expect.stringMatching(/^(first|second)@2026-11-21$/) as string,
    });
    const after = await written();
    expect(after.prices).toBe((before.prices ?? 0) + 1);
    expect((await events(before.events ?? 0)).filter((type) => type === 'price.changed')).toEqual(['price.changed']);
    expect(await open()).toEqual([]);
  });

  test('two feeds that disagree: the last good price stands, both rows wait, and agreement frees them', async () => {
    first.says(withPrice('0.12'));
    await nextPass();
    second.says(withPrice('0.13'));
    await nextPass();
    expect((await effective())?.effective).toBe(parseUsd('0.1'));
    expect((await open()).map(({ feed, code }) => [feed, code]).sort()).toEqual([
      ['first', 'FEEDS_DISAGREE'],
      ['second', 'FEEDS_DISAGREE'],
    ]);
    second.says(withPrice('0.12'));
    await nextPass();
    await nextPass();
    expect((await effective())?.effective).toBe(parseUsd('0.12'));
    expect(await open()).toEqual([]);
  });

  test('a bad row waits with its reason, is not written twice, and goes when the feed thinks better of it', async () => {
    first.says(withPrice('NaN'));
    await nextPass();
    const before = await written();
    await nextPass();
    expect(await written()).toEqual(before);
    expect(await open()).toMatchObject([
      { feed: 'first', offeringId: ID, code: 'AMOUNT_UNREADABLE', row: { amount: 'NaN' }, amount: null },
    ]);
    expect((await effective())?.effective).toBe(parseUsd('0.12'));
    first.says(withPrice('0.12'));
    await nextPass();
    expect(await open()).toEqual([]);
  });

  test('half a page is refused as a whole, and said so', async () => {
    const before = await written();
    first.says(withPrice('0.11').slice(0, truth.length / 2));
    await nextPass();
    expect(await written()).toEqual(before);
    expect(await feedState('first')).toMatchObject({ errorCode: 'INCOMPLETE', failures: 1 });
    first.says(withPrice('0.12'));
    await nextPass();
    expect(await feedState('first')).toMatchObject({ errorCode: null, failures: 0 });
  });

  test('who leads no longer writes nothing', async () => {
    const other = await openPriceWorld(START, [first], ['aws/us-east-1']);
    try {
      other.loseLease();
      await other.pass();
      expect(await other.db.database.read(SCOPE, (tx) => other.store.feeds(tx))).toEqual([]);
    } finally {
      await other.db.close();
    }
  });
});

describe('Price gate: what was announced', () => {
  const day = 86_400_000;
  const told = new ToldFeed('told');
  let announced: PriceWorld;
  const says = (amount: string, effectiveFrom: number) =>
    told.says(
      announced.book.map(toObserved).map((row) => (offeringIdOf(row.key) === ID ? { ...row, amount, effectiveFrom } : row)),
    );
  const priceAt = (at: number) =>
    announced.db.database.read(SCOPE, async (tx) => (await announced.service.believedAt(tx, [ID], at)).get(ID)?.effective);
  beforeAll(async () => {
    announced = await openPriceWorld(START, [told], ['aws/us-east-1']);
  });
  afterAll(() => announced.db.close());

  test('a price comes into force when it was announced for; a feed that thinks better of it before is heard', async () => {
    says('0.096', START - day);
    await announced.pass();
    says('0.12', START + 2 * day);
    announced.world.now += FEED_INTERVAL_MS;
    await announced.pass();
    expect(await priceAt(announced.world.now)).toBe(parseUsd('0.096'));
    expect(await priceAt(START + 3 * day)).toBe(parseUsd('0.12'));
    says('0.096', START - day);
    announced.world.now += FEED_INTERVAL_MS;
    await announced.pass();
    expect(await priceAt(START + 3 * day)).toBe(parseUsd('0.096'));
  });
});

describe('Price gate: a silent feed freezes decisions', () => {
  beforeAll(async () => {
    first.says(truth);
    second.says(truth);
    world = await openPriceWorld(START, [first, second], ['aws/us-east-1']);
    truth = world.book.map(toObserved);
    first.says(truth);
    second.says(truth);
    await world.pass();
  });
  afterAll(() => world.db.close());

  test('one silent feed of two freezes nothing; when the last one falls silent its prices are stale until it is heard', async () => {
    const before = (await written()).events ?? 0;
    first.trouble = new CloudUnknown('nobody answers');
    for (let at = 0; at < STALE_AFTER_MS; at += FEED_INTERVAL_MS) await nextPass();
    await nextPass();
    expect(await feedState('first')).toMatchObject({ errorCode: 'UNKNOWN', errorMessage: 'nobody answers' });
    expect((await feedState('first'))?.staleSince).not.toBeNull();
    expect((await effective())?.stale).toBeUndefined();
    second.trouble = new CloudUnknown('nobody answers');
    for (let at = 0; at < STALE_AFTER_MS; at += FEED_INTERVAL_MS) await nextPass();
    await nextPass();
    expect((await effective())?.stale).toBe(true);
    expect(await chosen()).toEqual({ chosen: null, codes: ['PRICE_STALE'] });
    first.trouble = null;
    second.trouble = null;
    await nextPass();
    expect((await effective())?.stale).toBeUndefined();
    expect(await chosen()).toMatchObject({ chosen: expect.stringMatching(/^aws\/us-east-1\//) as string });
    await nextPass();
    const told = (await events(before)).filter((type) => type.startsWith('price_feed.'));
    expect(told).toEqual(['price_feed.stale', 'price_feed.stale', 'price_feed.heard', 'price_feed.heard']);
    expect(await world.registry.metrics()).toMatch(/purser_price_feed_reads_total\{feed="first",outcome="failed"\} [1-9]/);
  });

  test('what feeds pass over for too long is stale, too, and what none of them ever spoke of is not', async () => {
    const without = truth.filter((row) => offeringIdOf(row.key) !== ID);
    first.says(without);
    second.says(without);
    for (let at = 0; at <= STALE_AFTER_MS; at += FEED_INTERVAL_MS) await nextPass();
    await nextPass();
    expect((await effective())?.stale).toBe(true);
    const elsewhere = await world.db.database.read(SCOPE, (tx) => world.service.candidates(tx, { regions: ['azure/eastus'] }));
    expect(elsewhere.filter(({ price }) => price?.stale)).toEqual([]);
    first.says(truth);
    await nextPass();
    expect((await effective())?.stale).toBeUndefined();
  });
});
