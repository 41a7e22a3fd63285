// Random markets and policies against the plain rules, one by one (fast-check); tables for contradictions. Everything is pure.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { regionOf } from '../../src/clouds/offering-key.ts';
import type { CapacityType } from '../../src/clouds/offering.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { CostModel, totalOf } from '../../src/scheduler/cost-model.ts';
import { ANY_GPU, memoryOfDevice, type Demand, type PlacementPolicy } from '../../src/scheduler/demand.ts';
import { filterOfferings, machinesFor, replicasPerMachine } from '../../src/scheduler/filter-offerings.ts';
import { learnedFactor } from '../../src/scheduler/learned-risk.ts';
import type { PlaceFacts } from '../../src/scheduler/place-facts.ts';
import { planPlacement } from '../../src/scheduler/plan-placement.ts';
import { meansAnyRegion } from '../../src/scheduler/region-pattern.ts';
import { candidate, makeMarket, MARKET_NOW } from '../support/market.ts';

const SMALL: Demand = { resources: { cpuMilli: 1000, memoryMib: 2048, accelerator: null }, capacityTypes: ['on_demand', 'spot'] };
const GPU: Demand = {
  ...SMALL,
  resources: { ...SMALL.resources, accelerator: { model: ANY_GPU, countMilli: 1000, memoryMib: 8192 } },
};
const ANYWHERE: PlacementPolicy = { regions: ['*'] };
const ZONES = { zonesOf: new Map([['aws/us-east-1', ['a', 'b', 'c']]]) };

const plan = (demand: Demand, policy: PlacementPolicy, candidates: ReturnType<typeof makeMarket>, facts: PlaceFacts = {}) =>
  planPlacement({ demand, policy, candidates, facts }, MARKET_NOW);

const asked = fc.record({
  seed: fc.integer({ min: 1, max: 10_000 }),
  base: fc.constantFrom(SMALL, GPU),
  replicas: fc.integer({ min: 1, max: 9 }),
  penalty: fc.constantFrom(0n, PICO_PER_USD, 1_000n * PICO_PER_USD),
  mibPerHour: fc.constantFrom(0, 10_240),
  bytes: fc.constantFrom(0, 40 * 2 ** 30),
  regions: fc.constantFrom(['*'], ['aws/*', 'gcp/region-1*'], ['azure/region-7']),
  residency: fc.constantFrom(undefined, ['*/region-1*']),
  machines: fc.constantFrom(undefined, 2, 100),
});

const made = asked.map(({ seed, base, replicas, penalty, mibPerHour, bytes, regions, residency, machines }) => {
  const demand: Demand = {
    ...{ ...base, replicas, coldStartMs: 300_000, penaltyPerHour: penalty },
    callers: [{ region: 'aws/region-3', mibPerHour }],
    artifact: { region: 'gcp/region-2', bytes },
  };
  const policy: PlacementPolicy = { regions, ...(residency ? { residency } : {}) };
  const rentable =
    machines === undefined
      ? undefined
      : ['aws', 'gcp'].flatMap((provider) =>
          Array.from({ length: 20 }, (_, n) => ({
            source: `${provider} ${n}`,
            region: `${provider}/region-${n}`,
            zones: [],
            machines,
          })),
        );
  return { demand, policy, market: makeMarket(150, seed), facts: rentable ? { rentable } : {} };
});

describe('Scheduler core: filter, score, fill', () => {
  test.each([
    [333, 8_192],
    [166, 4_096],
    [500, 12_288],
    [125, 3_072],
    [700, 17_203],
    [1000, 24_576],
    [4000, 24_576],
    [0, 0],
  ])('of a GPU of 24 GiB, %i thousandths have %i MiB: a third is a third', (countMilli, memory) => {
    expect(memoryOfDevice({ model: 'A10', countMilli, memoryMib: 24_576 })).toBe(memory);
  });

  test('columns of numbers and plain rules agree: what is kept, each reason, and the cheapest with all its parts', () => {
    fc.assert(
      fc.property(made, ({ demand, policy, market, facts }) => {
        const answer = plan(demand, policy, market, facts);
        const { kept, rejected } = filterOfferings(demand, policy, market, facts);
        const counts = Object.fromEntries(
          [...Map.groupBy(rejected, ({ code }) => code)].map(([code, some]) => [code, some.length]),
        );
        expect(answer.rejectedCounts).toEqual(counts);
        const model = new CostModel(demand, null);
        const replicas = demand.replicas ?? 1;
        const totals = kept.map(({ offering, price }) => {
          const machines = machinesFor(replicas, replicasPerMachine({ demand, facts }, offering));
          return totalOf(model.parts(offering, price.effective, { replicas, machines }));
        });
        const least = totals.reduce<bigint | null>((best, one) => (best === null || one < best ? one : best), null);
        expect(answer.best[0]?.score ?? null).toBe(least);
        expect(answer.places.length === 0).toBe(kept.length === 0);
      }),
      { numRuns: 200 },
    );
  });

  test('the parts of every cost sum to its total, and the places to the whole', () => {
    fc.assert(
      fc.property(made, ({ demand, policy, market, facts }) => {
        const { best, places, hourly } = plan(demand, policy, market, facts);
        for (const { cost, score } of best) expect(cost.price + cost.egress + cost.interruptions + cost.move).toBe(score);
        expect(places.reduce((all, { cost }) => all + totalOf(cost), 0n)).toBe(hourly);
        if (places.length > 0) expect(places.reduce((all, { replicas }) => all + replicas, 0)).toBe(demand.replicas);
      }),
    );
  });

  test('what would change it is exact: below the price that is told the loser wins, at it the winner stays', () => {
    let told = 0;
    fc.assert(
      fc.property(made, ({ demand, policy, market }) => {
        const { best, places, wouldChange } = plan(demand, policy, market);
        const loser = best[1];
        const [, word, bound] = /wins (below|at) ([0-9.]+) USD/.exec(wouldChange[0] ?? '') ?? [];
        if (!loser || bound === undefined || places.length !== 1) return;
        told += 1;
        const [whole = '0', part = ''] = bound.split('.');
        const price = BigInt(whole) * PICO_PER_USD + BigInt(part.padEnd(12, '0')) + (word === 'at' ? 1n : 0n);
        const winnerAt = (amount: bigint) => {
          const repriced = market.map((one) =>
            one.offering.id === loser.offering.id && one.price ? { ...one, price: { ...one.price, effective: amount } } : one,
          );
          return plan(demand, policy, repriced).places[0]?.offering.id;
        };
        expect(winnerAt(price - 1n)).toBe(loser.offering.id);
        expect(winnerAt(price)).toBe(best[0]?.offering.id);
      }),
    );
    expect(told).toBeGreaterThan(20);
  });

  test('several replicas share a machine where that is cheaper', () => {
    const [one, four] = [
      candidate({ instanceType: 'one', cpuMilli: 1000 }, 100n),
      candidate({ instanceType: 'four', cpuMilli: 4000 }, 300n),
    ];
    const placesFor = (replicas: number) => plan({ ...SMALL, replicas }, ANYWHERE, [one, four]).places[0];
    expect(placesFor(2)).toMatchObject({ machines: 2, offering: { instanceType: 'one' } });
    expect(placesFor(4)).toMatchObject({ machines: 1, offering: { instanceType: 'four' }, cost: { price: 300n } });
  });

  test('any GPU with enough memory: a share of a device counts as that share, other devices do not count', () => {
    const device = (model: string, countMilli: number, memoryMib: number) =>
      candidate({ instanceType: `${model}-${countMilli}`, accelerator: { model, countMilli, memoryMib } });
    const market = [
      ...[device('T4', 1000, 16_384), device('L4', 500, 24_576), device('L4', 125, 24_576), device('A100', 8000, 40_960)],
      ...[device('Inferentia2', 1000, 32_768), device('Radeon-Pro-V520', 1000, 8192), device('A10', 0, 24_576)],
    ];
    const { best, rejectedCounts } = plan(GPU, ANYWHERE, market);
    expect(best.map(({ offering }) => offering.instanceType).sort()).toEqual(['A100-8000', 'L4-500', 'T4-1000']);
    expect(rejectedCounts).toEqual({ ACCELERATOR_MEMORY: 1, ACCELERATOR_MODEL: 2, ACCELERATOR_COUNT: 1 });
  });

  test('room that is paid for is used first, then machines are rented', () => {
    const rented = candidate({}, PICO_PER_USD);
    const { offering } = candidate({ instanceType: 'idle', capacityType: 'on_demand' });
    const free = [{ poolId: 'pool', offering, zone: 'a', replicas: 2 }];
    const { places } = planPlacement(
      { demand: { ...SMALL, replicas: 3 }, policy: ANYWHERE, candidates: [rented], free },
      MARKET_NOW,
    );
    expect(places).toMatchObject([
      { poolId: 'pool', replicas: 2, machines: 0, cost: { price: 0n } },
      { poolId: null, replicas: 1, machines: 1 },
    ]);
  });

  test('a share on demand and a spread over zones hold, whatever is cheapest', () => {
    const market = [candidate({}, 100n), candidate({ capacityType: 'spot', instanceType: 'spot' }, 10n)];
    const policy = { ...ANYWHERE, minOnDemandPercent: 40, zones: 3 };
    const { places } = plan({ ...SMALL, replicas: 5 }, policy, market, ZONES);
    const sum = (type: CapacityType) =>
      places.filter(({ offering }) => offering.capacityType === type).reduce((all, { replicas }) => all + replicas, 0);
    expect([sum('on_demand'), sum('spot')]).toEqual([2, 3]);
    expect(new Set(places.map(({ zone }) => zone)).size).toBe(3);
  });

  test('staying costs no move: what is a little cheaper elsewhere does not win', () => {
    const [here, there] = [candidate({ instanceType: 'here' }, 100n), candidate({ instanceType: 'there' }, 99n)];
    const demand = { ...SMALL, coldStartMs: 3_600_000 };
    const present = { offeringIds: [here.offering.id], hourly: 240n };
    const chosen = (price: bigint) =>
      planPlacement({ demand, policy: ANYWHERE, candidates: [here, candidate(there.offering, price)], present }, MARKET_NOW)
        .places[0];
    expect(chosen(99n)?.offering.instanceType).toBe('here');
    expect(chosen(89n)).toMatchObject({ offering: { instanceType: 'there' }, cost: { move: 10n } });
  });

  test('what a region may rent is shared by all places', () => {
    const facts = { rentable: [{ source: 'one', region: 'aws/us-east-1', zones: [], machines: 3 }], ...ZONES };
    const only = [candidate({ cpuMilli: 1000 })];
    expect(plan({ ...SMALL, replicas: 3 }, { ...ANYWHERE, zones: 2 }, only, facts).places).toHaveLength(2);
    const { places, rejectedCounts } = plan({ ...SMALL, replicas: 4 }, ANYWHERE, only, facts);
    expect([places, rejectedCounts]).toEqual([[], { NO_QUOTA: 1 }]);
  });

  test.each([
    ['aws/us-east-1', 'aws/us-east-1', true],
    ['aws/*', 'aws/us-east-1', true],
    ['*/us-*', 'gcp/us-central1', true],
    ['*-1', 'aws/eu-west-1', true],
    ['aws/*', 'gcp/us-central1', false],
    ['a*b*c', 'abc', true],
    ['ab*bc', 'abc', false],
    ['aws/us-east', 'aws/us-east-1', false],
  ])('%s means %s: %s', (pattern, region, means) => expect(meansAnyRegion([pattern], region)).toBe(means));
});

describe('Scheduler core: contradictory policy', () => {
  const market = [candidate(), candidate({ region: 'eu-west-1' }), candidate({ provider: 'gcp', region: 'us-central1' })];
  const roundTripMs = () => 74;
  const callers = [{ region: 'aws/ap-south-1', mibPerHour: 0 }];
  const rows: readonly [string, Partial<Demand>, Partial<PlacementPolicy>, readonly string[]][] = [
    ['residency excludes every region', {}, { regions: ['aws/us-*'], residency: ['*/eu-*'] }, ['residency', 'regions']],
    ['clouds exclude every region', {}, { regions: ['aws/*'], providers: ['gcp'] }, ['providers', 'regions']],
    ['near and apart', {}, { near: ['aws/eu-west-1'], apart: ['aws/eu-west-1'] }, ['near', 'apart']],
    [
      'on demand from spot alone',
      { capacityTypes: ['spot'] },
      { minOnDemandPercent: 100 },
      ['minOnDemandPercent', 'capacityTypes'],
    ],
    ['more zones than replicas', { replicas: 2 }, { zones: 3 }, ['zones', 'replicas']],
    ['more zones than there are', { replicas: 5 }, { zones: 4, regions: ['aws/us-east-1'] }, ['zones', 'regions']],
    ['nearer than light', { callers, latencyMs: 20 }, {}, ['latencyMs', 'callers', 'regions']],
    ['cheaper than the cheapest', {}, { maxSpendPerHour: 1n }, ['maxSpendPerHour', 'replicas']],
  ];
  test.each(rows)('%s: the answer names it', (_what, demand, policy, fields) => {
    const { contradiction, places } = plan({ ...SMALL, ...demand }, { ...ANYWHERE, ...policy }, market, {
      ...ZONES,
      roundTripMs,
    });
    expect(contradiction?.fields).toEqual(fields);
    expect(contradiction?.message).toMatch(/\.$/);
    expect(places).toEqual([]);
  });

  test('a policy that only leaves one place is none', () => {
    const { contradiction, places } = plan({ ...SMALL, callers, latencyMs: 74 }, { ...ANYWHERE, residency: ['*/eu-*'] }, market, {
      roundTripMs,
    });
    expect([contradiction, places.map(({ offering }) => regionOf(offering))]).toEqual([null, ['aws/eu-west-1']]);
  });
});

describe('Scheduler core: what was lived through with spot', () => {
  const market = makeMarket(400, 11);
  const spot = market.filter(({ offering }) => offering.capacityType === 'spot');
  const demand: Demand = { ...SMALL, capacityTypes: ['spot'], coldStartMs: 300_000, penaltyPerHour: 100n * PICO_PER_USD };
  const first = plan(demand, ANYWHERE, spot).chosen!;
  const after = (losses: number, expected: number) =>
    plan(demand, ANYWHERE, spot, { learned: new Map([[first.offering.id, { losses, expected }]]) });

  test('without a loss nor time nothing is learned: what is published counts', () => {
    expect(after(0, 0).chosen).toEqual(first);
  });

  test('a market that takes machines away is left, by the columns as by the exact sums; one that holds is worth more', () => {
    const left = after(50, 1);
    expect(left.chosen!.offering.id).not.toBe(first.offering.id);
    const model = new CostModel(demand, null, new Map([[first.offering.id, { losses: 50, expected: 1 }]]));
    const parts = model.parts(first.offering, first.price.effective, { replicas: 1, machines: first.machines });
    expect(totalOf(parts)).toBeGreaterThan(left.chosen!.score);
    expect(after(0, 20).chosen!.cost.interruptions).toBeLessThan(first.cost.interruptions);
  });

  test('how bad a record is, is learned from what is published on, and more of it says more', () => {
    expect(learnedFactor({ losses: 0, expected: 0 }, 5)).toBe(1);
    const factors = [0, 1, 5, 20].map((losses) => learnedFactor({ losses, expected: 3 }, 5));
    expect([...factors].sort((a, b) => a - b)).toEqual(factors);
    expect(factors[0]).toBeLessThan(1);
  });
});
