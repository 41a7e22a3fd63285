// Properties over random amounts, instants and weights: whatever the input, the parts sum to the whole.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { costOfInterval, formatUsd, parseUsd, splitByLargestRemainder } from '../../src/kernel/money.ts';

const rate = fc.bigInt({ min: 0n, max: 10n ** 17n });
const instant = fc.integer({ min: 0, max: 4_000_000_000_000 });

describe('Money is exact', () => {
  test('a decimal string survives reading and writing', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), (amount) => parseUsd(formatUsd(amount)) === amount),
    );
  });

  test.each([
    ['1.5', 1_500_000_000_000n],
    ['-0.000000000001', -1n],
    ['0', 0n],
    ['1e3', null],
    ['0.0000000000001', null],
    ['', null],
    ['NaN', null],
  ])('reads %j as %s', (text, amount) => {
    expect(parseUsd(text)).toBe(amount);
  });

  test('adjoining intervals sum to the whole, however time is cut', () => {
    fc.assert(
      fc.property(rate, fc.array(instant, { minLength: 2, maxLength: 20 }), (r, cuts) => {
        const points = [...cuts].sort((a, b) => a - b);
        const parts = points.slice(1).map((to, i) => costOfInterval(r, points[i]!, to));
        const whole = costOfInterval(r, points[0]!, points.at(-1)!);
        expect(parts.reduce((all, part) => all + part, 0n)).toBe(whole);
      }),
    );
  });

  test('a split sums to its total, gives zero weights nothing and does not depend on order', () => {
    const part = fc.record({ key: fc.string({ maxLength: 6 }), weight: fc.bigInt({ min: 0n, max: 10n ** 12n }) });
    const parts = fc.uniqueArray(part, { selector: (p) => p.key, maxLength: 12 });
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 18n }), parts, (total, weights) => {
        const shares = splitByLargestRemainder(total, weights);
        const paying = weights.filter((p) => p.weight > 0n);
        expect([...shares.keys()].sort()).toEqual(paying.map((p) => p.key).sort());
        if (paying.length > 0) expect([...shares.values()].reduce((all, share) => all + share, 0n)).toBe(total);
        expect(new Map([...splitByLargestRemainder(total, [...weights].reverse())].sort())).toEqual(new Map([...shares].sort()));
      }),
    );
  });

  test('ties go to the smaller key in byte order, not in UTF-16 order', () => {
    const shares = splitByLargestRemainder(1n, [
      { key: '\u{10000}', weight: 1n },
      { key: '\uffff', weight: 1n },
    ]);
    expect(shares.get('\uffff')).toBe(1n);
  });
});
