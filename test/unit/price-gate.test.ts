// One row against what is known of its offering, then whole readings; a table of each reason, with the row that is just good enough beside it.
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { offeringIdOf } from '../../src/clouds/offering-key.ts';
import type { ObservedPrice, PriceReading } from '../../src/clouds/price-feed.port.ts';
import { DAY_MS, HOUR_MS } from '../../src/kernel/instant.ts';
import { formatUsd, parseUsd } from '../../src/kernel/money.ts';
import { packageRoot } from '../../src/main/package-root.ts';
import { BundledCatalogue } from '../../src/pricing/bundled-catalogue.adapter.ts';
import { gatePrices, type KnownPrices } from '../../src/pricing/gate-prices.ts';
import { saidOf, type FeedClaim, type KnownOffering } from '../../src/pricing/judge-price.ts';
import { readAmount } from '../../src/pricing/read-amount.ts';

const NOW = Date.parse('2026-11-21T12:00:00Z');
const YESTERDAY = NOW - DAY_MS;
const usd = (text: string) => parseUsd(text) ?? 0n;

const observed = (change: Partial<ObservedPrice> = {}, instanceType = 'm5.large'): ObservedPrice => ({
  key: { provider: 'aws', region: 'us-east-1', zone: '', instanceType, capacityType: 'on_demand' },
  amount: '0.1',
  currency: 'USD',
  unit: 'hour',
  effectiveFrom: null,
  ...change,
});
const ID = offeringIdOf(observed().key);

const claim = (amount: string, change: Partial<FeedClaim> = {}): FeedClaim => ({
  said: saidOf(observed({ amount })),
  amount: usd(amount),
  effectiveFrom: null,
  code: null,
  ...change,
});

const offering = (change: Partial<KnownOffering> = {}): KnownOffering => ({
  id: ID,
  cpuMilli: 2000,
  acceleratorMilli: 0,
  lastGood: usd('0.1'),
  lastGoodFrom: YESTERDAY - DAY_MS,
  announced: [],
  list: usd('0.1'),
  own: null,
  others: [],
  ...change,
});

const known = (change: Partial<KnownOffering> = {}, more: Partial<KnownPrices> = {}): KnownPrices => ({
  offerings: new Map([[ID, offering(change)]]),
  rowsByRegion: new Map(),
  asOf: null,
  edition: null,
  ...more,
});

const reading = (prices: readonly ObservedPrice[], more: Partial<PriceReading> = {}): PriceReading => ({
  prices,
  unreadable: [],
  asOf: null,
  ...more,
});

/** The reason code of one row, or what came of it. */
const verdict = (row: Partial<ObservedPrice>, of: KnownPrices = known(), more: Partial<PriceReading> = {}): string => {
  const answer = gatePrices(reading([observed(row)], more), of, NOW);
  if (answer.refusal) return answer.refusal.code;
  const [doubt] = answer.doubted;
  if (doubt) return doubt.code;
  const [believed] = answer.believed;
  return believed ? (believed.moves.length > 0 ? 'moves' : 'same') : 'unchanged';
};

describe('Price gate: no price acts before it is believed', () => {
  test.each([
    ['0.11', 'moves'],
    ['0.1', 'same'],
    ['0.1000000000', 'same'],
    ['0.149', 'moves'],
    ['0.151', 'UNCONFIRMED_JUMP'],
    ['0.067', 'moves'],
    ['0.066', 'UNCONFIRMED_JUMP'],
    ['0.51', 'FAR_FROM_LAST'],
    ['0.019', 'FAR_FROM_LAST'],
    ['100', 'FAR_FROM_LAST'],
    ['0.0001', 'FAR_FROM_LAST'],
    ['0', 'AMOUNT_NOT_POSITIVE'],
    ['0.000', 'AMOUNT_NOT_POSITIVE'],
    ['-1', 'AMOUNT_NOT_POSITIVE'],
    ['-0.1', 'AMOUNT_NOT_POSITIVE'],
    ['NaN', 'AMOUNT_UNREADABLE'],
    ['null', 'AMOUNT_UNREADABLE'],
    ['', 'AMOUNT_UNREADABLE'],
    ['Infinity', 'AMOUNT_UNREADABLE'],
    ['1e-1', 'AMOUNT_UNREADABLE'],
    ['0,1', 'AMOUNT_UNREADABLE'],
    ['9'.repeat(50), 'AMOUNT_UNREADABLE'],
    ['9999999999', 'IMPLAUSIBLE'],
  ])('an amount of "%s" where 0.1 is the last good price: %s', (amount, expected) => {
    expect(verdict({ amount })).toBe(expected);
  });

  test.each<[string, Partial<ObservedPrice>, string]>([
    ['per month', { unit: 'month' }, 'WRONG_UNIT'],
    ['per hour in other words', { unit: 'Hrs' }, 'WRONG_UNIT'],
    ['in euros', { currency: 'EUR' }, 'WRONG_CURRENCY'],
    ['announced for next month', { amount: '0.12', effectiveFrom: NOW + 30 * DAY_MS }, 'moves'],
    ['announced for the next century', { amount: '0.12', effectiveFrom: NOW + 36_500 * DAY_MS }, 'NOT_NEWER'],
  ])('a price %s', (_, row, expected) => expect(verdict(row)).toBe(expected));

  test('a price may drift, but never away from the list', () => {
    const drifted = known({ lastGood: usd('0.4') });
    expect(verdict({ amount: '0.45' }, drifted)).toBe('moves');
    expect(verdict({ amount: '0.51' }, drifted)).toBe('FAR_FROM_LIST');
  });

  test('what nothing can be compared with must at least be plausible, and be said twice', () => {
    const fresh = { lastGood: null, list: null };
    expect(verdict({ amount: '0.1' }, known(fresh))).toBe('FIRST_SEEN');
    expect(verdict({ amount: '0.0001' }, known(fresh))).toBe('IMPLAUSIBLE');
    expect(verdict({ amount: '0.004' }, known({ ...fresh, cpuMilli: 1000, acceleratorMilli: 1000 }))).toBe('IMPLAUSIBLE');
    expect(verdict({ amount: '0.03' }, known({ ...fresh, acceleratorMilli: 1000 }))).toBe('FIRST_SEEN');
    expect(verdict({ amount: '0.03' }, known({ ...fresh, acceleratorMilli: 8000 }))).toBe('IMPLAUSIBLE');
    expect(verdict({ amount: '0.1' }, known({ ...fresh, own: claim('0.1', { code: 'FIRST_SEEN' }) }))).toBe('moves');
    expect(verdict({ amount: '0.2' }, known({ ...fresh, own: claim('0.1', { code: 'FIRST_SEEN' }) }))).toBe('FIRST_SEEN');
  });

  test('a jump is believed when a second read agrees, and not before', () => {
    const jumped = { own: claim('0.2', { code: 'UNCONFIRMED_JUMP' }) };
    expect(verdict({ amount: '0.2' }, known(jumped))).toBe('moves');
    expect(verdict({ amount: '0.201' }, known(jumped))).toBe('moves');
    expect(verdict({ amount: '0.3' }, known(jumped))).toBe('UNCONFIRMED_JUMP');
    expect(verdict({ amount: '0.1' }, known(jumped))).toBe('same');
  });

  test('a second read whose clock stands still confirms nothing', () => {
    const jumped = known({ own: claim('0.2', { code: 'UNCONFIRMED_JUMP' }) }, { asOf: YESTERDAY });
    expect(verdict({ amount: '0.2' }, jumped, { asOf: YESTERDAY })).toBe('UNCONFIRMED_JUMP');
    expect(verdict({ amount: '0.2' }, jumped, { asOf: NOW })).toBe('moves');
  });

  test('an edition that is read twice has said it once; another edition, or another feed, confirms a jump', () => {
    const jumped = known({ own: claim('0.2', { code: 'UNCONFIRMED_JUMP' }) }, { edition: 'one' });
    expect(verdict({ amount: '0.2' }, jumped, { edition: 'one' })).toBe('UNCONFIRMED_JUMP');
    expect(verdict({ amount: '0.2' }, jumped, { edition: 'two' })).toBe('moves');
    const seconded = { own: claim('0.2', { code: 'UNCONFIRMED_JUMP' }), others: [usd('0.2')] };
    expect(verdict({ amount: '0.2' }, known(seconded, { edition: 'one' }), { edition: 'one' })).toBe('moves');
    // What nothing can be compared with is no jump: what was read right is read so again.
    const fresh = { lastGood: null, list: null, own: claim('0.1', { code: 'FIRST_SEEN' }) };
    expect(verdict({ amount: '0.1' }, known(fresh, { edition: 'one' }), { edition: 'one' })).toBe('moves');
  });

  test.each<[string, Partial<ObservedPrice>, Partial<KnownOffering>, string]>([
    ['said again as it was', { effectiveFrom: NOW + DAY_MS }, {}, 'unchanged'],
    ['brought forward', { effectiveFrom: NOW + HOUR_MS }, {}, 'moves 2026-11-21T13 0.12'],
    ['brought forward to now', { effectiveFrom: null }, {}, 'moves 2026-11-21T12 0.12'],
    ['put off', { effectiveFrom: NOW + 2 * DAY_MS }, {}, 'moves 2026-11-22T12 0.1, 2026-11-23T12 0.12'],
    [
      'brought forward, and lower',
      { amount: '0.11', effectiveFrom: NOW + HOUR_MS },
      {},
      'moves 2026-11-21T13 0.11, 2026-11-22T12 0.11',
    ],
    [
      'put off, and lower',
      { amount: '0.11', effectiveFrom: NOW + 2 * DAY_MS },
      {},
      'moves 2026-11-22T12 0.1, 2026-11-23T12 0.11',
    ],
    ['dated before the price in force', { effectiveFrom: YESTERDAY - DAY_MS }, {}, 'NOT_NEWER'],
    ['taken back', { amount: '0.1', effectiveFrom: YESTERDAY }, {}, 'moves 2026-11-22T12 0.1'],
    ['taken back by one of two', { amount: '0.1', effectiveFrom: YESTERDAY }, { others: [usd('0.12')] }, 'FEEDS_DISAGREE'],
    ['never made, by a feed that says for the first time what is in force', { amount: '0.1' }, { own: null }, 'same'],
    [
      'brought forward far, which was believed before',
      { amount: '0.4', effectiveFrom: NOW + HOUR_MS },
      { own: claim('0.4', { effectiveFrom: NOW + DAY_MS }), announced: [{ at: NOW + DAY_MS, amount: usd('0.4') }] },
      'UNCONFIRMED_JUMP',
    ],
  ])('an announcement of 0.12 for tomorrow that is %s', (_, row, change, expected) => {
    const own = claim('0.12', { effectiveFrom: NOW + DAY_MS });
    const announced = [{ at: NOW + DAY_MS, amount: usd('0.12') }];
    const answer = gatePrices(reading([observed({ amount: '0.12', ...row })]), known({ own, announced, ...change }), NOW);
    const moves = answer.believed[0]?.moves.map(
      ({ at, amount }) => `${new Date(at).toISOString().slice(0, 13)} ${formatUsd(amount)}`,
    );
    const said = moves && (moves.length > 0 ? `moves ${moves.join(', ')}` : 'same');
    expect(answer.doubted[0]?.code ?? said ?? 'unchanged').toBe(expected);
  });

  test('an announcement is not taken back, nor brought forward, while the clock of the source stands still', () => {
    const own = claim('0.12', { effectiveFrom: NOW + DAY_MS });
    const announced = known({ own, announced: [{ at: NOW + DAY_MS, amount: usd('0.12') }] }, { asOf: YESTERDAY });
    expect(verdict({ amount: '0.1' }, announced, { asOf: YESTERDAY })).toBe('NOT_NEWER');
    expect(verdict({ amount: '0.12', effectiveFrom: NOW + HOUR_MS }, announced, { asOf: YESTERDAY })).toBe('NOT_NEWER');
  });

  test('a first price counts from its date: one that is still to come is not in force before', () => {
    const first = { lastGood: null, lastGoodFrom: null, own: claim('0.1', { code: 'FIRST_SEEN' }) };
    const moves = (effectiveFrom: number | null) =>
      gatePrices(reading([observed({ effectiveFrom })]), known(first), NOW).believed[0]?.moves.map(({ at }) => at);
    expect(moves(NOW + DAY_MS)).toEqual([NOW + DAY_MS]);
    expect(moves(YESTERDAY)).toEqual([YESTERDAY]);
    expect(moves(null)).toEqual([NOW]);
  });

  test('a far price is not believed however often it is said', () => {
    expect(verdict({ amount: '0.0001' }, known({ own: claim('0.0001', { code: 'FAR_FROM_LAST' }) }))).toBe('FAR_FROM_LAST');
  });

  test('two feeds that disagree: neither moves the price; when they agree, a jump is confirmed at once', () => {
    expect(verdict({ amount: '0.12' }, known({ others: [usd('0.3')] }))).toBe('FEEDS_DISAGREE');
    expect(verdict({ amount: '0.3' }, known({ others: [usd('0.12')] }))).toBe('FEEDS_DISAGREE');
    expect(verdict({ amount: '0.1' }, known({ others: [usd('0.3')] }))).toBe('same');
    expect(verdict({ amount: '0.3' }, known({ others: [usd('0.301')] }))).toBe('moves');
  });

  test('a source that changes its mind must date it later', () => {
    const own = { own: claim('0.1', { effectiveFrom: YESTERDAY }) };
    expect(verdict({ amount: '0.11', effectiveFrom: NOW }, known(own))).toBe('moves');
    expect(verdict({ amount: '0.11', effectiveFrom: YESTERDAY }, known(own))).toBe('NOT_NEWER');
    expect(verdict({ amount: '0.11', effectiveFrom: YESTERDAY - 1 }, known(own))).toBe('NOT_NEWER');
    expect(verdict({ amount: '0.11' }, known({ own: claim('0.1') }, { asOf: YESTERDAY }), { asOf: YESTERDAY })).toBe('NOT_NEWER');
  });

  test('what was settled and is said again is not judged again: a price that a person has decided on stays decided', () => {
    expect(verdict({ amount: '9' }, known({ own: claim('9') }))).toBe('unchanged');
    expect(verdict({ amount: '9.1' }, known({ own: claim('9') }))).toBe('FAR_FROM_LAST');
  });

  test('what nobody knows, and what contradicts itself', () => {
    expect(verdict({ key: { ...observed().key, instanceType: 'none' } })).toBe('UNKNOWN_OFFERING');
    const twice = gatePrices(reading([observed(), observed({ amount: '0.12' })]), known(), NOW);
    expect(twice.doubted.map(({ code }) => code)).toEqual(['SAYS_TWICE']);
    expect(gatePrices(reading([observed({ amount: '0.11' }), observed({ amount: '0.11' })]), known(), NOW).believed).toHaveLength(
      1,
    );
  });
});

describe('Price gate: readings that are not believed as a whole', () => {
  const rows = Array.from({ length: 100 }, (_, index) => observed({ amount: '0.1' }, `m5.${index}`));
  const world = (more: Partial<KnownPrices> = {}): KnownPrices => ({
    offerings: new Map(rows.map(({ key }) => [offeringIdOf(key), offering({ id: offeringIdOf(key) })])),
    rowsByRegion: new Map([['aws/us-east-1', 100]]),
    asOf: YESTERDAY,
    edition: null,
    ...more,
  });
  const refusalOf = (answer: ReturnType<typeof gatePrices>) => answer.refusal?.code ?? null;

  test.each<[string, PriceReading, string | null]>([
    ['all rows', reading(rows), null],
    ['a few rows less', reading(rows.slice(0, 75)), null],
    ['half a page', reading(rows.slice(0, 50)), 'INCOMPLETE'],
    ['nothing', reading([]), 'EMPTY'],
    ['a clock that goes back', reading(rows, { asOf: YESTERDAY - HOUR_MS }), 'CLOCK_WENT_BACK'],
    ['a clock that runs ahead', reading(rows, { asOf: NOW + 3 * DAY_MS }), 'CLOCK_AHEAD'],
    ['all rows ×1000', reading(rows.map((row) => ({ ...row, amount: '100' }))), 'MOSTLY_DAMAGED'],
    ['all rows in yen', reading(rows.map((row) => ({ ...row, currency: 'JPY' }))), 'MOSTLY_DAMAGED'],
    [
      'many rows that cannot be read',
      reading(rows, { unreadable: Array.from({ length: 50 }, (_, line) => ({ ref: `line ${line}`, reason: 'torn' })) }),
      'MOSTLY_DAMAGED',
    ],
  ])('%s', (_, what, expected) => {
    const answer = gatePrices(what, world(), NOW);
    expect(refusalOf(answer)).toBe(expected);
    if (expected) expect([answer.believed, answer.missing]).toEqual([[], []]);
  });

  test('what a reading passes over is told', () => {
    const own = new Map(rows.map(({ key }) => [offeringIdOf(key), offering({ id: offeringIdOf(key), own: claim('0.1') })]));
    const answer = gatePrices(reading(rows.slice(1)), world({ offerings: own }), NOW);
    expect(answer.missing).toEqual([offeringIdOf(rows[0]?.key ?? observed().key)]);
    expect(answer.unchanged).toBe(99);
  });
});

describe('Price gate: amounts and the bundled book', () => {
  test('amounts are read exactly, and what is written is read back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }), (amount) => {
        expect(readAmount(formatUsd(amount))).toBe(amount);
      }),
    );
    expect(readAmount('0.38999999999999996')).toBe(usd('0.39'));
    expect(readAmount('0.0000000000004')).toBe(0n);
  });

  test('every bundled price passes its own gate', async () => {
    const { rows } = await new BundledCatalogue(join(packageRoot, 'deploy', 'price-book')).read();
    // As if each were heard of for the first time, so that it is looked at for itself, too.
    const offerings = rows.map(({ offering: { id, cpuMilli, accelerator }, price }) =>
      offering({
        ...{ id, cpuMilli, acceleratorMilli: accelerator?.countMilli ?? 0, lastGood: null, lastGoodFrom: null, list: null },
        others: [price],
      }),
    );
    const prices = rows.map(({ offering: key, price }) => observed({ key, amount: formatUsd(price) }));
    const answer = gatePrices(reading(prices), { ...known(), offerings: new Map(offerings.map((one) => [one.id, one])) }, NOW);
    expect({ refusal: answer.refusal, doubted: answer.doubted }).toEqual({ refusal: null, doubted: [] });
    expect(answer.believed).toHaveLength(rows.length);
  });
});
