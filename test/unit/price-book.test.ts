// Rows of one offering, in any order, against the price that a person would read off a time line.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { believedRowAt, believedSteps, type PriceRow } from '../../src/pricing/price-book.ts';

const row = (id: string, effectiveFrom: number, change: Partial<PriceRow> = {}): PriceRow => ({
  id,
  offeringId: 'o',
  list: 5n,
  contracted: 5n,
  effective: BigInt(id.charCodeAt(0)),
  effectiveFrom,
  observedAt: effectiveFrom,
  source: 'book@2026-01-01',
  state: 'believed',
  ...change,
});
const shape = (rows: readonly PriceRow[], from: number, to: number) =>
  believedSteps(rows, from, to).map((step) => [step.from, step.to, step.priceId]);

describe('Price book: the price that is believed', () => {
  test('prices follow each other; before the first there is none', () => {
    expect(shape([row('b', 20), row('a', 10)], 0, 30)).toEqual([
      [10, 20, 'a'],
      [20, 30, 'b'],
    ]);
  });

  test('a correction known later replaces only its own stretch', () => {
    expect(shape([row('a', 10), row('b', 20), row('c', 10, { observedAt: 99 })], 0, 30)).toEqual([
      [10, 20, 'c'],
      [20, 30, 'b'],
    ]);
  });

  test('a quarantined price cuts nothing', () => {
    expect(shape([row('a', 10), row('b', 20, { state: 'quarantined' })], 10, 30)).toEqual([[10, 30, 'a']]);
  });

  test('an override wins over later observations until it is cleared', () => {
    const rows = [row('a', 10), row('o', 15, { source: 'override' }), row('b', 20), row('x', 25, { source: 'override-cleared' })];
    expect(shape(rows, 10, 30)).toEqual([
      [10, 15, 'a'],
      [15, 25, 'o'],
      [25, 30, 'b'],
    ]);
  });

  test('an empty range has no steps', () => expect(shape([row('a', 10)], 20, 20)).toEqual([]));

  test('steps agree with the price at each instant, whatever the order', () => {
    const rows = fc.uniqueArray(
      fc.record({
        id: fc.integer({ min: 0, max: 25 }).map((n) => String.fromCharCode(97 + n)),
        effectiveFrom: fc.integer({ min: 0, max: 20 }),
        observedAt: fc.integer({ min: 0, max: 20 }),
        source: fc.constantFrom('book', 'book', 'override', 'override-cleared'),
        state: fc.constantFrom<'believed' | 'quarantined'>('believed', 'believed', 'quarantined'),
      }),
      { selector: ({ id }) => id, maxLength: 10 },
    );
    fc.assert(
      fc.property(rows, (drafts) => {
        const all = drafts.map(({ id, effectiveFrom, ...rest }) => row(id, effectiveFrom, rest));
        const steps = believedSteps([...all].reverse(), 0, 25);
        for (let at = 0; at < 25; at += 1) {
          const step = steps.find((one) => one.from <= at && at < one.to);
          expect(step?.priceId).toBe(believedRowAt(all, at)?.id);
        }
        for (const [index, step] of steps.entries()) expect(step.from).toBeGreaterThanOrEqual(steps[index - 1]?.to ?? 0);
      }),
    );
  });
});
