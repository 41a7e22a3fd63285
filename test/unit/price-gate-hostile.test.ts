// A feed that means ill, or is broken in any way that one can think of, against the gate as the loop uses it: readings are planned one after the
// other, and what each changes is what the next one finds. Random sequences of readings look for a price that gets through.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Offering } from '../../src/clouds/offering.ts';
import { offeringIdOf, type OfferingKey } from '../../src/clouds/offering-key.ts';
import type { ObservedPrice, PriceReading } from '../../src/clouds/price-feed.port.ts';
import { DAY_MS, HOUR_MS } from '../../src/kernel/instant.ts';
import { formatUsd, parseUsd } from '../../src/kernel/money.ts';
import { offeringsToSave } from '../../src/pricing/offerings-to-save.ts';
import { planReading } from '../../src/pricing/plan-reading.ts';
import type { FeedState, KnownRow, QuarantineDraft } from '../../src/pricing/price-feed-store.port.ts';
import { soundReading } from '../../src/pricing/sound-reading.ts';

const NOW = Date.parse('2026-11-21T12:00:00Z');
const usd = (text: string) => parseUsd(text) ?? 0n;
const REGION = 'aws/us-east-1';
const key = (instanceType: string): OfferingKey => ({
  ...{ provider: 'aws', region: 'us-east-1', zone: '', instanceType, capacityType: 'on_demand' },
});
const offeringOf = (instanceType: string, change: Partial<Offering> = {}): Offering => {
  const offering = { ...key(instanceType), architecture: 'amd64', cpuMilli: 2000, memoryMib: 8192, accelerator: null };
  const all = { ...offering, interruptionBand: null, ...change };
  return { ...all, id: offeringIdOf(all) };
};
const row = (amount: string, change: Partial<ObservedPrice> = {}): ObservedPrice => ({
  ...{ key: key('listed'), amount, currency: 'USD', unit: 'hour', effectiveFrom: null },
  ...change,
});

/** One feed, and a book of one offering with a list price and one without, as the database would keep them. */
function makeWorld() {
  const feed: FeedState = {
    ...{
      id: 'feed',
      name: 'feed',
      isConfigured: true,
      intervalMs: HOUR_MS,
      staleAfterMs: DAY_MS,
      createdAt: NOW,
      rowsByRegion: {},
    },
    ...{ attemptedAt: null, readAt: null, asOf: null, edition: null, rows: 0, quarantined: 0, awaitsSecondRead: false },
    ...{ unreadable: [], errorCode: null, errorMessage: null, failures: 0, staleSince: null, version: 1 },
  };
  const price = (type: string, list: bigint) => ({
    ...{ id: 'price', offeringId: offeringIdOf(key(type)), list, contracted: list, effective: list, effectiveFrom: NOW - DAY_MS },
    ...{ observedAt: NOW - DAY_MS, source: 'book', state: 'believed' as const },
  });
  const shared = { announced: [], claim: null, others: [] };
  const list = usd('0.1');
  let known: KnownRow[] = [
    { ...shared, offering: offeringOf('listed'), lastGood: price('listed', list), list, first: list },
    { ...shared, offering: offeringOf('unlisted'), lastGood: price('unlisted', list), list: null, first: list },
    { ...shared, offering: offeringOf('new'), lastGood: null, list: null, first: null },
  ];
  let [state, open, ids, now] = [feed, new Map<string, QuarantineDraft & { readonly said: string }>(), 0, NOW];
  const read = (said: PriceReading) => {
    now += HOUR_MS;
    const reading = soundReading(said);
    const plan = planReading(
      { feed: state, regions: [REGION], reading, known, open, agreements: [], newId: () => String((ids += 1)) },
      now,
    );
    const { change, answer } = plan;
    known = known.map((one) => {
      const claim = change.claims.find(({ offeringId }) => offeringId === one.offering.id);
      const moved = change.prices.findLast(({ offeringId }) => offeringId === one.offering.id);
      return {
        ...one,
        ...(claim ? { claim: { ...claim, unconfirmedSince: null } } : {}),
        ...(moved ? { lastGood: { ...moved, observedAt: now, state: 'believed' as const }, first: one.first ?? moved.list } : {}),
      };
    });
    open = new Map([...open].filter(([text]) => !change.withdrawn.includes(text)));
    for (const one of change.quarantined)
      open.set(one.offeringKey, { ...one, said: `${one.row.amount} ${one.row.currency}/${one.row.unit}` });
    if (!answer.refusal) state = { ...state, asOf: reading.asOf ?? state.asOf, edition: reading.edition ?? null };
    return plan;
  };
  const priceOf = (type: string) => {
    const found = known.find(({ offering }) => offering.instanceType === type)?.lastGood;
    return found ? formatUsd(found.list) : null;
  };
  return { read, priceOf };
}

const reading = (prices: readonly ObservedPrice[], more: Partial<PriceReading> = {}): PriceReading => ({
  ...{ prices, unreadable: [], asOf: null },
  ...more,
});

const textOf = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? one.toString() : one));

describe('Price gate: a feed that means ill', () => {
  test.each<[string, 'listed' | 'unlisted', (n: number) => string, string[]]>([
    ['four times as dear with every two reads', 'listed', (n) => (0.1 * 4 ** n).toFixed(9), ['0.4', '0.4']],
    ['a quarter with every two reads', 'listed', (n) => (0.1 / 4 ** n).toFixed(9), ['0.025', '0.025']],
    ['a few per cent each time', 'listed', (n) => (0.1 * 1.2 ** n).toFixed(9), ['0.4', '0.5']],
    ['four times as dear, where nobody knows a list price', 'unlisted', (n) => (0.1 * 4 ** n).toFixed(9), ['0.4', '0.4']],
    [
      'a tenth less each time, where nobody knows a list price',
      'unlisted',
      (n) => (0.1 * 0.9 ** n).toFixed(9),
      ['0.02', '0.023'],
    ],
  ])('a slow drift: %s', (_, type, amountOf, [least, most]) => {
    const world = makeWorld();
    for (let n = 1; n <= 40; n += 1)
      for (let again = 0; again < 2; again += 1) world.read(reading([row(amountOf(n), { key: key(type) })]));
    const end = Number(world.priceOf(type));
    expect(end).toBeGreaterThanOrEqual(Number(least));
    expect(end).toBeLessThanOrEqual(Number(most));
  });

  test('two values in turn, each a jump from the other: neither is believed, however long it goes on', () => {
    const world = makeWorld();
    for (let n = 0; n < 20; n += 1) world.read(reading([row(n % 2 === 0 ? '0.19' : '0.051')]));
    expect(world.priceOf('listed')).toBe('0.1');
  });

  test.each<[string, Partial<ObservedPrice>]>([
    ['minus nothing', { amount: '-0' }],
    ['minus nothing point nothing', { amount: '-0.000' }],
    ['an exponent', { amount: '1e-1' }],
    ['an endless one', { amount: '1e400' }],
    ['three hundred digits', { amount: `0.${'1'.repeat(300)}` }],
    ['ten million digits', { amount: '1'.repeat(10_000_000) }],
    ['digits of another script', { amount: '٠.١٢' }],
    ['full width', { amount: '０.１２' }],
    ['a thousand separator', { amount: '0 .12' }],
    ['a hidden character', { amount: '0.1\u200b2' }],
    ['the end of a text', { amount: '0.12\0' }],
    ['half a character', { amount: '0.12\ud800' }],
    ['a sign', { amount: '+0.12' }],
    ['hexadecimal', { amount: '0x1' }],
    ['a unit that only looks like it', { amount: '0.12', unit: 'h\u043eur' }],
    ['a currency with a space', { amount: '0.12', currency: 'USD ' }],
    ['a date that is none', { amount: '0.12', effectiveFrom: Number.NaN }],
    ['a date before there were any', { amount: '0.12', effectiveFrom: -1 }],
    ['a date without end', { amount: '0.12', effectiveFrom: Number.POSITIVE_INFINITY }],
    ['a name with a space', { amount: '0.12', key: key(' listed') }],
    ['a name with a hidden character', { amount: '0.12', key: key('lis\u200bted') }],
    ['a name in another form of the same letters', { amount: '0.12', key: key('e\u0301') }],
    ['no name', { amount: '0.12', key: key('') }],
    ['another region', { amount: '0.12', key: { ...key('listed'), region: 'nowhere-1' } }],
    ['a region that holds a type', { amount: '0.12', key: { ...key('on_demand'), region: 'us-east-1/-', zone: 'listed' } }],
  ])('an amount, a unit, a name or a date like %s moves nothing, and is told', (_, change) => {
    const world = makeWorld();
    for (let again = 0; again < 3; again += 1) {
      const said = soundReading(reading([row('0.12', change)]));
      const { answer, change: changes } = world.read(reading([row('0.12', change)]));
      expect(changes.prices).toEqual([]);
      expect(answer.doubted.length + said.unreadable.length).toBe(1);
      expect(textOf([changes, said]).length).toBeLessThan(5_000);
      // What cannot be written as well-formed text cannot be kept.
      expect(textOf(changes)).not.toMatch(/\\u0000|\\ud800/);
    }
    expect(world.priceOf('listed')).toBe('0.1');
  });

  test('rows that contradict each other in one page, in any order, move nothing; the same row twice is one', () => {
    const world = makeWorld();
    for (const prices of [
      [row('0.11'), row('0.12')],
      [row('0.12'), row('0.11')],
      [row('0.11'), row('0.12'), row('0.11')],
    ])
      expect(world.read(reading(prices)).answer.doubted.map(({ code }) => code)).toEqual(['SAYS_TWICE']);
    expect(world.priceOf('listed')).toBe('0.1');
    world.read(reading([row('0.11'), row('0.11')]));
    expect(world.priceOf('listed')).toBe('0.11');
  });

  test('one price with two dates counts from the earlier, whichever comes first', () => {
    const dated = [NOW + 30 * DAY_MS, NOW + 2 * DAY_MS].map((effectiveFrom) => row('0.12', { effectiveFrom }));
    for (const prices of [dated, dated.toReversed()])
      expect(
        makeWorld()
          .read(reading(prices))
          .change.prices.map(({ effectiveFrom }) => effectiveFrom),
      ).toEqual([NOW + 2 * DAY_MS]);
  });

  test('whatever it says, no price leaves the bounds of its list price, and none moves far by what is said for the first time', () => {
    let moves = 0;
    fc.assert(
      fc.property(fc.array(SAID, { maxLength: 40 }), (steps) => {
        for (const { before, after, anchor, wasHeard } of movesOf(steps)) {
          moves += 1;
          expect(after / anchor).toBeGreaterThanOrEqual(0.2);
          expect(after / anchor).toBeLessThanOrEqual(5);
          if (before !== null && (after / before > 1.51 || after / before < 0.66)) expect(wasHeard).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
    expect(moves).toBeGreaterThan(300);
  });
});

const SAID = fc.record({
  type: fc.constantFrom('listed', 'unlisted', 'new'),
  factor: fc.constantFrom(0, 0.001, 0.19, 0.21, 0.5, 0.66, 0.9, 1, 1.1, 1.5, 1.6, 2, 4.9, 5.1, 1000),
  ofLast: fc.boolean(),
  again: fc.integer({ min: 1, max: 3 }),
  edition: fc.constantFrom(undefined, 'one', 'two'),
  from: fc.constantFrom(null, NOW - DAY_MS, NOW + 2 * HOUR_MS, NOW + 90 * DAY_MS),
});

/** Each price that moved, with what it moved from, what it may not leave, and whether the amount had been said before. */
function movesOf(steps: readonly (typeof SAID extends fc.Arbitrary<infer T> ? T : never)[]) {
  const world = makeWorld();
  const heard = new Set<string>();
  const anchors = new Map([
    ['listed', 0.1],
    ['unlisted', 0.1],
  ]);
  const moves: { before: number | null; after: number; anchor: number; wasHeard: boolean }[] = [];
  const say = ({ type, factor, ofLast, edition, from }: (typeof steps)[number]): void => {
    const before = world.priceOf(type);
    const amount = ((ofLast ? Number(before ?? '0.1') : 0.1) * factor).toFixed(12);
    world.read(reading([row(amount, { key: key(type), effectiveFrom: from })], edition === undefined ? {} : { edition }));
    const after = world.priceOf(type);
    const wasHeard = heard.has(`${type} ${amount}`);
    heard.add(`${type} ${amount}`);
    if (after === null || after === before) return;
    const anchor = anchors.get(type) ?? Number(after);
    anchors.set(type, anchor);
    moves.push({ before: before === null ? null : Number(before), after: Number(after), anchor, wasHeard });
  };
  for (const step of steps) for (let n = 0; n < step.again; n += 1) say(step);
  return moves;
}

describe('Price gate: what a feed says can be rented', () => {
  const known = (offering: Offering): KnownRow => ({
    ...{ offering, lastGood: null, announced: [], list: null, first: null, claim: null, others: [] },
  });
  const saved = (listed: Offering, ...rows: Offering[]) => offeringsToSave([listed], rows.map(known), [REGION]);

  test.each<[string, Offering]>([
    ['in a region that it does not speak of', offeringOf('new', { region: 'us-west-2' })],
    ['without a CPU', offeringOf('new', { cpuMilli: 0 })],
    ['larger than any', offeringOf('new', { cpuMilli: 1e12 })],
    ['of more memory than any', offeringOf('new', { memoryMib: 2 ** 40 })],
    ['of a size that is no number', offeringOf('new', { cpuMilli: Number.NaN })],
    ['whose name has a hidden character', offeringOf('ne\u200bw')],
    ['whose accelerator is no text', offeringOf('new', { accelerator: { model: 'A\0', countMilli: 1000, memoryMib: 0 } })],
  ])('a machine %s is not taken up', (_, offering) => expect(saved(offering)).toEqual([]));

  test('a type that is known elsewhere has the same shape here; the first of two lines counts', () => {
    const [here, there] = [offeringOf('m5.large'), offeringOf('m5.large', { zone: 'us-east-1a', cpuMilli: 640_000 })];
    expect(saved(there, here)).toEqual([{ ...there, cpuMilli: 2000 }]);
    expect(saved(here, here)).toEqual([]);
    const two = [offeringOf('new'), offeringOf('new', { cpuMilli: 64_000 })];
    expect(offeringsToSave(two, [], [REGION])).toEqual([offeringOf('new')]);
  });
});
