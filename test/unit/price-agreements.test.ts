// What was agreed against amounts reckoned by hand, and against each other at random: a price never exceeds its list, and never changes but at a bound.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Offering } from '../../src/clouds/offering.ts';
import { offeringIdOf } from '../../src/clouds/offering-key.ts';
import { parseUsd } from '../../src/kernel/money.ts';
import { readSpec, writeSpec } from '../../src/pricing/agreement-json.ts';
import {
  agreedPrices,
  coveredBy,
  hourlyCostOf,
  isInForce,
  type Agreement,
  type AgreementSpec,
  type Discount,
  type OwnHardware,
} from '../../src/pricing/agreements.ts';
import { checkAgreement, countOfPlan } from '../../src/pricing/check-agreement.ts';

const usd = (text: string) => parseUsd(text) ?? 0n;
const KEY = { provider: 'aws', region: 'us-east-1', zone: '', instanceType: 'm5.large', capacityType: 'on_demand' } as const;
const OFFERING: Offering = {
  ...{ ...KEY, id: offeringIdOf(KEY), architecture: 'amd64', cpuMilli: 2_000 },
  ...{ memoryMib: 8_192, accelerator: null, interruptionBand: null },
};
const discount = (percentMilli: number, change: Partial<Discount> = {}): Discount => ({
  ...{ kind: 'discount', percentMilli, provider: null, region: null, instanceTypes: null, capacityTypes: null },
  ...change,
});
const agreed = (spec: AgreementSpec, validFrom = 0, validUntil: number | null = null): Agreement => ({
  ...{ id: `${validFrom}`, name: 'ours', version: 1 },
  ...{ spec, validFrom, validUntil },
});
const RACK: OwnHardware = {
  kind: 'own_hardware',
  shape: { ...OFFERING, provider: 'rack' },
  ...{ count: 1, purchase: usd('7304.85'), residual: 0n, months: 10, watts: 500, perKilowattHour: usd('0.3') },
  hostingPerMonth: usd('73.0485'),
};
const LIST = usd('0.1');
const prices = (agreements: readonly Agreement[], from = 10) =>
  agreedPrices(OFFERING, () => LIST, agreements, { from }).map(({ effectiveFrom, effective }) => [effectiveFrom, effective]);

describe('Price agreements: what is charged beside the list', () => {
  test.each<[string, Discount, boolean]>([
    ['everything', discount(1), true],
    ['this provider', discount(1, { provider: 'aws' }), true],
    ['another provider', discount(1, { provider: 'gcp' }), false],
    ['this region', discount(1, { region: 'us-east-1' }), true],
    ['another region', discount(1, { region: 'us-east-2' }), false],
    ['its family', discount(1, { instanceTypes: 'm5.*' }), true],
    ['a family that begins alike', discount(1, { instanceTypes: 'm5' }), false],
    ['a name with a point that stands for itself', discount(1, { instanceTypes: 'm5?large' }), false],
    ['this way of renting', discount(1, { capacityTypes: ['on_demand'] }), true],
    ['another way of renting', discount(1, { capacityTypes: ['spot'] }), false],
  ])('a discount on %s', (_, spec, fits) => {
    expect(prices([agreed(spec)])).toEqual([[10, fits ? usd('0.099999') : LIST]]);
  });

  test('a pattern of very many stars is answered in one walk through the name', () => {
    const offering = { ...OFFERING, instanceType: 'a'.repeat(10_000) };
    const priceBy = (instanceTypes: string) =>
      agreedPrices(offering, () => LIST, [agreed(discount(1, { instanceTypes }))], { from: 10 }).map(
        ({ effective }) => effective,
      );
    expect(priceBy(`${'*a'.repeat(50)}b`)).toEqual([LIST]);
    expect(priceBy(`${'*a'.repeat(50)}*`)).toEqual([usd('0.099999')]);
  });

  test('the largest of several counts, each from when it begins until it ends', () => {
    expect(prices([agreed(discount(10_000), 0, 30), agreed(discount(25_000), 20, 40)])).toEqual([
      [10, usd('0.09')],
      [20, usd('0.075')],
      [30, usd('0.075')],
      [40, LIST],
    ]);
  });

  test('no discount makes a price negative or larger than its list, and a fraction of a pico-dollar is rounded up', () => {
    const some = fc.record({
      percentMilli: fc.integer({ min: 1, max: 100_000 }),
      from: fc.nat(50),
      length: fc.integer({ min: 1, max: 50 }),
    });
    fc.assert(
      fc.property(fc.array(some, { maxLength: 5 }), fc.bigInt({ min: 1n, max: 10n ** 15n }), (drafts, list) => {
        const agreements = drafts.map(({ percentMilli, from, length }) => agreed(discount(percentMilli), from, from + length));
        for (const { effectiveFrom, effective } of agreedPrices(OFFERING, () => list, agreements, { from: 0 })) {
          const inForce = agreements
            .filter((one) => isInForce(one, effectiveFrom))
            .map(({ spec }) => (spec as Discount).percentMilli);
          const left = list * (100_000n - BigInt(Math.max(0, ...inForce)));
          expect(effective * 100_000n - left).toBeGreaterThanOrEqual(0n);
          expect(effective * 100_000n - left).toBeLessThan(100_000n);
          expect(effective <= list && effective >= 0n).toBe(true);
        }
      }),
    );
  });

  test('a machine of your own: value, power and place, by the hour', () => {
    // 7304.85 over 7304.85 hours, 0.5 kW at 0.3, 73.0485 over 730.485 hours.
    expect(hourlyCostOf(RACK)).toBe(usd('1.25'));
    expect(hourlyCostOf({ ...RACK, residual: RACK.purchase, watts: 0, hostingPerMonth: 1n })).toBe(1n);
  });

  test('a committed amount covers the machines that it pays for whole', () => {
    expect(coveredBy(usd('0.25'), usd('0.07'))).toBe(3);
    expect(countOfPlan(usd('0.06'), usd('0.07'))).toMatchObject({ code: 'INVALID_INPUT' });
    expect(countOfPlan(usd('0.06'), 0n)).toMatchObject({ code: 'INVALID_INPUT' });
  });

  test.each<[string, AgreementSpec, Partial<Agreement>, readonly string[]]>([
    ['a beginning in the past', discount(1), { validFrom: 9 }, ['input', 'from']],
    ['an end before the beginning', discount(1), { validUntil: 10 }, ['input', 'until']],
    ['nothing off', discount(0), {}, ['input', 'percent']],
    ['more than all off', discount(100_001), {}, ['input', 'percent']],
    ['what is no number off', discount(Number.NaN), {}, ['input', 'percent']],
    ["machines of a cloud as one's own", { ...RACK, shape: { ...RACK.shape, provider: 'aws' } }, {}, ['input', 'provider']],
    ['a residual above the purchase', { ...RACK, residual: RACK.purchase + 1n }, {}, ['input', 'residual']],
    ['no month', { ...RACK, months: 0 }, {}, ['input', 'months']],
    ['no machine', { kind: 'reservation', covers: KEY, count: 0, ratePerHour: 1n }, {}, ['input', 'count']],
    [
      'spot that is reserved',
      { kind: 'reservation', covers: { ...KEY, capacityType: 'spot' }, count: 1, ratePerHour: 1n },
      {},
      ['input', 'covers', 'capacityType'],
    ],
    ['a negative rate', { kind: 'reservation', covers: KEY, count: 1, ratePerHour: -1n }, {}, ['input', 'ratePerHour']],
  ])('%s is refused', (_, spec, change, path) => {
    expect(checkAgreement({ ...agreed(spec, 10), ...change }, 10)).toMatchObject({ code: 'INVALID_INPUT', path });
  });

  test.each<[AgreementSpec]>([[discount(12_500)], [RACK], [{ kind: 'savings_plan', covers: KEY, count: 3, ratePerHour: LIST }]])(
    'what is kept is read back: %o',
    (spec) => expect(readSpec(spec.kind, JSON.parse(JSON.stringify(writeSpec(spec))) as never)).toEqual(spec),
  );
});
