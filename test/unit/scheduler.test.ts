// Random markets and demands (fast-check) and a table of single reasons; everything is pure, so no database.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CapacityType, Offering } from '../../src/clouds/offering.ts';
import { offeringIdOf } from '../../src/clouds/offering-key.ts';
import { isId } from '../../src/kernel/id.ts';
import type { PriceRow } from '../../src/pricing/price-book.ts';
import {
  filterOfferings,
  REJECTION_CODES,
  type Candidate,
  type Demand,
  type PlacementPolicy,
} from '../../src/scheduler/filter-offerings.ts';
import type { PlaceFacts } from '../../src/scheduler/place-facts.ts';
import { planPlacement } from '../../src/scheduler/plan-placement.ts';

const NOW = 1_800_000_000_000;
const DEMAND: Demand = { resources: { cpuMilli: 2000, memoryMib: 4096, accelerator: null }, capacityTypes: ['on_demand'] };
const GPU: Demand = {
  ...DEMAND,
  resources: { ...DEMAND.resources, accelerator: { model: 'T4', countMilli: 1000, memoryMib: 16_384 } },
};
const POLICY: PlacementPolicy = { regions: ['aws/us-east-1'] };

/** One whose price nobody has confirmed for too long. */
function staleCandidate(): Candidate {
  const { offering, price } = candidate();
  return { offering, price: price && { ...price, stale: true } };
}

function candidate(change: Partial<Offering> = {}, effective: bigint | null = 96_000_000_000n): Candidate {
  const key = {
    provider: 'aws',
    region: 'us-east-1',
    zone: '',
    instanceType: 'm5.large',
    capacityType: 'on_demand' as CapacityType,
    ...change,
  };
  const id = offeringIdOf(key);
  const size = { architecture: 'amd64', cpuMilli: 2000, memoryMib: 8192, accelerator: null, interruptionBand: null };
  return { offering: { ...size, ...key, id, ...change }, price: effective === null ? null : priceOf(id, effective) };
}

const priceOf = (offeringId: string, effective: bigint): PriceRow => ({
  id: offeringId,
  offeringId,
  list: effective,
  contracted: effective,
  effective,
  effectiveFrom: NOW - 1,
  observedAt: NOW - 1,
  source: 'test@2026-01-01',
  state: 'believed',
});

const T4 = { model: 'T4', countMilli: 1000, memoryMib: 16_384 };

const CALLERS = [{ region: 'aws/eu-west-1', mibPerHour: 0 }];
const REFUSED = { region: 'aws/us-east-1', instanceType: 'm5.large', message: 'It said no.' };

const REASONS: readonly [string, Candidate, Demand, PlacementPolicy, PlaceFacts?][] = [
  ['REGION_NOT_ALLOWED', candidate({ region: 'eu-west-1' }), DEMAND, POLICY],
  ['RESIDENCY', candidate(), DEMAND, { ...POLICY, residency: ['*/eu-*'] }],
  ['PROVIDER_NOT_ALLOWED', candidate(), DEMAND, { ...POLICY, providers: ['gcp'] }],
  ['NOT_NEAR', candidate(), DEMAND, { ...POLICY, near: ['aws/eu-west-1'] }],
  ['NOT_APART', candidate(), DEMAND, { ...POLICY, apart: ['aws/us-east-1'] }],
  ['LATENCY_UNKNOWN', candidate(), { ...DEMAND, latencyMs: 50, callers: CALLERS }, POLICY],
  ['LATENCY_TOO_LONG', candidate(), { ...DEMAND, latencyMs: 50, callers: CALLERS }, POLICY, { roundTripMs: () => 51 }],
  ['CAPACITY_TYPE_NOT_ALLOWED', candidate({ capacityType: 'spot' }), DEMAND, POLICY],
  ['ARCHITECTURE', candidate({ architecture: 'arm64' }), DEMAND, POLICY],
  ['CPU_TOO_SMALL', candidate({ cpuMilli: 1999 }), DEMAND, POLICY],
  ['MEMORY_UNKNOWN', candidate({ memoryMib: null }), DEMAND, POLICY],
  ['MEMORY_TOO_SMALL', candidate({ memoryMib: 4095 }), DEMAND, POLICY],
  ['ACCELERATOR_MISSING', candidate(), GPU, POLICY],
  ['ACCELERATOR_MODEL', candidate({ accelerator: { ...T4, model: 'A100' } }), GPU, POLICY],
  ['ACCELERATOR_COUNT', candidate({ accelerator: { ...T4, countMilli: 125 } }), GPU, POLICY],
  ['ACCELERATOR_MEMORY', candidate({ accelerator: { ...T4, memoryMib: 0 } }), GPU, POLICY],
  ['UNPRICED', candidate({}, null), DEMAND, POLICY],
  ['PRICE_STALE', staleCandidate(), DEMAND, POLICY],
  ['ABOVE_SPEND_CAP', candidate(), DEMAND, { ...POLICY, maxPricePerHour: 95_999_999_999n }],
  ['STOCK_OUT', candidate(), DEMAND, POLICY, { refusals: [{ ...REFUSED, code: 'STOCK_OUT' }] }],
  ['NO_QUOTA', candidate(), DEMAND, POLICY, { refusals: [{ ...REFUSED, code: 'NO_QUOTA' }] }],
  ['NOT_RENTABLE_HERE', candidate(), DEMAND, POLICY, { rentable: [] }],
];

const arbitraryCandidate = fc
  .record({
    region: fc.constantFrom('us-east-1', 'eu-west-1'),
    instanceType: fc.integer({ min: 0, max: 60 }).map((n) => `m${n}`),
    capacityType: fc.constantFrom<CapacityType>('on_demand', 'spot'),
    cpuMilli: fc.constantFrom(1000, 2000, 8000),
    memoryMib: fc.constantFrom(null, 2048, 4096, 65_536),
    accelerator: fc.constantFrom(null, T4, { ...T4, countMilli: 500 }),
    architecture: fc.constantFrom('amd64', 'arm64'),
    price: fc.option(fc.constantFrom(1n, 2n, 3n, 1_000_000_000_000n)),
  })
  .map(({ price, ...offering }) => candidate(offering, price));
const market = fc.uniqueArray(arbitraryCandidate, { selector: ({ offering }) => offering.id, maxLength: 60 });
const demand = fc.constantFrom(DEMAND, GPU, { ...DEMAND, capacityTypes: ['on_demand', 'spot'] as CapacityType[] });

describe('Placement: filter, score and choose an offering', () => {
  test.each(REASONS)('%s is the reason', (...[code, one, wanted, policy, facts = {}]) => {
    const { kept, rejected } = filterOfferings(wanted, policy, [one], facts);
    expect(kept).toEqual([]);
    expect(rejected.map((rejection) => rejection.code)).toEqual([code]);
    expect(rejected[0]?.message).toMatch(/\.$/);
    // The plan, which looks at columns of numbers, gives the same reason.
    const plan = planPlacement({ demand: wanted, policy, candidates: [one], facts }, NOW);
    expect(plan.rejected).toEqual(rejected);
    expect(plan.rejectedCounts).toEqual({ [code]: 1 });
  });

  test('every reason has a row above', () => {
    expect(REASONS.map(([code]) => code)).toEqual([...REJECTION_CODES]);
  });

  test('an offering that is exactly large enough is kept', () => {
    const exact = candidate({ cpuMilli: 2000, memoryMib: 4096, accelerator: T4 });
    expect(filterOfferings(GPU, { ...POLICY, maxPricePerHour: 96_000_000_000n }, [exact]).kept).toHaveLength(1);
  });

  test('every candidate is kept or rejected exactly once', () => {
    fc.assert(
      fc.property(market, demand, (candidates, wanted) => {
        const { kept, rejected } = filterOfferings(wanted, POLICY, candidates);
        const seen = [...kept, ...rejected].map(({ offering }) => offering.id).sort();
        expect(seen).toEqual(candidates.map(({ offering }) => offering.id).sort());
      }),
    );
  });

  test('the order of the candidates does not matter', () => {
    const shuffled = market.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })));
    fc.assert(
      fc.property(shuffled, demand, ([candidates, other], wanted) => {
        const plan = planPlacement({ demand: wanted, policy: POLICY, candidates }, NOW);
        expect(planPlacement({ demand: wanted, policy: POLICY, candidates: other }, NOW)).toEqual(plan);
      }),
    );
  });

  test('the chosen one is a minimum of all that fit', () => {
    fc.assert(
      fc.property(market, demand, (candidates, wanted) => {
        const { chosen } = planPlacement({ demand: wanted, policy: POLICY, candidates }, NOW);
        const { kept } = filterOfferings(wanted, POLICY, candidates);
        expect(chosen === null).toBe(kept.length === 0);
        for (const { price } of kept) expect(chosen && chosen.score <= price.effective).toBe(true);
      }),
    );
  });

  test('a decision keeps at most twenty of each and counts all', () => {
    const far = Array.from({ length: 50 }, (_, n) => candidate({ region: 'eu-west-1', instanceType: `x${n}` }));
    const near = candidate({ instanceType: 'near' }, null);
    const plan = planPlacement({ demand: DEMAND, policy: POLICY, candidates: [...far, near] }, NOW);
    expect(plan.rejected).toHaveLength(20);
    expect(plan.rejected[0]?.code).toBe('UNPRICED');
    expect(plan.rejectedCounts).toEqual({ REGION_NOT_ALLOWED: 50, UNPRICED: 1 });
  });

  test('a price that comes into force later is none yet', () => {
    const plan = planPlacement({ demand: DEMAND, policy: POLICY, candidates: [candidate()] }, NOW - 2);
    expect(plan.chosen).toBeNull();
    expect(plan.rejectedCounts).toEqual({ UNPRICED: 1 });
  });

  test('the id of an offering follows from its key', () => {
    const one = candidate().offering;
    expect(isId(one.id)).toBe(true);
    expect(offeringIdOf(one)).toBe(one.id);
    expect(offeringIdOf({ ...one, capacityType: 'spot' })).not.toBe(one.id);
  });
});
