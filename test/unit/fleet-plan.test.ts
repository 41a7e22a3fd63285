// Joint plans over many deployments: small cases by hand, and random fleets (seeded) whose greedy plan is held against the solver's; every plan is
// counted anew from the input alone.
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkFleet } from '../../src/scheduler/check-fleet.ts';
import { timesIn, type FleetDemand, type FleetInput, type FleetOffering } from '../../src/scheduler/fleet.ts';
import type { FleetSolver } from '../../src/scheduler/fleet-solver.port.ts';
import { openHighsSolver } from '../../src/scheduler/highs-fleet-solver.adapter.ts';
import { planFleetExactly } from '../../src/scheduler/plan-fleet-exactly.ts';
import { planFleet, type FleetPlan } from '../../src/scheduler/plan-fleet.ts';
import { seededRandom } from '../../src/simulation/seeded-random.ts';
import { randomFleet } from '../support/random-fleets.ts';

const USD = 10n ** 12n;
const offering = (key: string, usd: bigint, change: Partial<FleetOffering> = {}): FleetOffering => ({
  ...{ key, pricePerHour: usd * USD, zone: 'a', capacityType: 'on_demand', maxMachines: null },
  resources: { cpuMilli: 4_000, memoryMib: 16_384, accelerator: null },
  ...change,
});
const demand = (key: string, replicas: number, change: Partial<FleetDemand> = {}): FleetDemand => ({
  ...{ key, replicas, minOnDemand: 0, maxPerZone: null, offerings: ['large', 'small', 'spot', 'far'] },
  resources: { cpuMilli: 2_000, memoryMib: 1_024, accelerator: null },
  ...change,
});
const fleet = (offerings: FleetOffering[], demands: FleetDemand[], change: Partial<FleetInput> = {}): FleetInput => ({
  ...{ offerings, demands, limits: [], budgetPerHour: null },
  ...change,
});
const small = offering('small', 3n);
const large = offering('large', 5n, { resources: { cpuMilli: 8_000, memoryMib: 32_768, accelerator: null } });
const spot = offering('spot', 1n, { capacityType: 'spot' });
const far = offering('far', 4n, { zone: 'b' });
const brief = ({ machines, seats, unplaced, costPerHour }: FleetPlan) => ({
  machines: machines.map(({ offering: key, count }) => `${count} ${key}`),
  seats: seats.map(
    ({ demand: who, offering: where, replicas, perMachine }) => `${replicas} ${who} on ${where}, ${perMachine} a machine`,
  ),
  unplaced: unplaced.map(({ demand: who, replicas, reason }) => `${replicas} ${who}: ${reason}`),
  usd: Number(costPerHour / USD),
});

describe('Joint plans: who sits where', () => {
  test('deployments share a machine that each alone would half fill', () => {
    expect(brief(planFleet(fleet([small, large], [demand('x', 1), demand('y', 1)])))).toEqual({
      machines: ['1 small'],
      seats: ['1 x on small, 2 a machine', '1 y on small, 2 a machine'],
      unplaced: [],
      usd: 3,
    });
  });

  test('three that fit on a machine of their own have it alone', () => {
    const three = demand('x', 3, { resources: { cpuMilli: 2_600, memoryMib: 1_024, accelerator: null } });
    expect(brief(planFleet(fleet([large], [three])))).toMatchObject({
      machines: ['1 large'],
      seats: ['3 x on large, 3 a machine'],
    });
  });

  test.each([
    ['so many not on spot', demand('x', 4, { minOnDemand: 2 }), ['1 small', '1 spot']],
    ['spread over zones', demand('x', 4, { maxPerZone: 2, offerings: ['large', 'small', 'far'] }), ['1 far', '1 small']],
    ['both', demand('x', 4, { maxPerZone: 2, minOnDemand: 4 }), ['1 far', '1 small']],
  ])('%s', (_, one, machines) => {
    expect(brief(planFleet(fleet([small, spot, far], [one]))).machines).toEqual(machines);
  });

  test.each([
    ['its own stock', fleet([{ ...spot, maxMachines: 1 }, small], [demand('x', 4)]), ['1 small', '1 spot']],
    [
      'a quota over several',
      fleet([spot, offering('small', 1n), far], [demand('x', 6)], {
        limits: [{ key: 'q', offerings: ['spot', 'small'], maxMachines: 2 }],
      }),
      ['1 far', '2 small'],
    ],
  ])('limits: %s', (_, input, machines) => {
    expect(brief(planFleet(input)).machines).toEqual(machines);
  });

  test.each([
    [
      'nothing fits',
      fleet([small], [demand('x', 2, { resources: { cpuMilli: 9_000, memoryMib: 1, accelerator: null } })]),
      '2 x: NO_OFFERING_FITS',
    ],
    ['only spot', fleet([spot], [demand('x', 2, { minOnDemand: 1 })]), '1 x: ON_DEMAND_OR_SPREAD'],
    ['one zone', fleet([small], [demand('x', 3, { maxPerZone: 2 })]), '1 x: ON_DEMAND_OR_SPREAD'],
    ['quota', fleet([{ ...small, maxMachines: 1 }], [demand('x', 3)]), '1 x: LIMITS'],
    ['budget', fleet([small], [demand('x', 4)], { budgetPerHour: 5n * USD }), '2 x: BUDGET'],
  ])('who has no seat is told why: %s', (_, input, unplaced) => {
    const plan = planFleet(input);
    expect(brief(plan).unplaced).toEqual([unplaced]);
    expect(checkFleet(input, plan)).toEqual([]);
  });

  test.each([
    [1_000, 4_000, 4],
    [500, 2_000, 4],
    [700, 2_000, 2],
    [2_000, 3_000, 1],
    [1_500, 4_000, 2],
  ])('%i thousandths of a device fit on %i so often: %i; a share stays on one device', (wanted, has, count) => {
    const device = (countMilli: number) => ({
      cpuMilli: 1,
      memoryMib: 1,
      accelerator: { model: 'T4', countMilli, memoryMib: 16 },
    });
    const replica = { ...device(wanted), cpuMilli: 0, memoryMib: 0 };
    expect(timesIn(device(has), replica)).toBe(count);
    expect(timesIn({ cpuMilli: 1, memoryMib: 1, accelerator: null }, replica)).toBe(0);
  });
});

const sizes = fc.record({
  seed: fc.nat(),
  demands: fc.integer({ min: 1, max: 6 }),
  offerings: fc.integer({ min: 1, max: 12 }),
  replicas: fc.integer({ min: 1, max: 10 }),
});
const inputOf = ({ seed, ...size }: { seed: number; demands: number; offerings: number; replicas: number }) =>
  randomFleet(seededRandom(seed), size);

describe('Joint plans: any fleet', () => {
  test('everybody sits or is missing with a reason, and no rule is broken when it is counted anew', () => {
    fc.assert(
      fc.property(sizes, fc.option(fc.integer({ min: 0, max: 4 })), (size, budget) => {
        const input = { ...inputOf(size), budgetPerHour: budget === null ? null : BigInt(budget) * USD };
        expect(checkFleet(input, planFleet(input))).toEqual([]);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  test('the order of the input does not matter', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        const input = inputOf(size);
        const turned = { ...input, demands: [...input.demands].reverse(), offerings: [...input.offerings].reverse() };
        expect(planFleet(turned)).toEqual(planFleet(input));
      }),
      { numRuns: 15 },
    );
  }, 60_000);

  test('the check sees a machine too few, a seat too many, a wrong cost and a limit that is broken', () => {
    const input = fleet([small], [demand('x', 4)]);
    const plan = planFleet(input);
    const faults = (change: Partial<FleetPlan>) => checkFleet(input, { ...plan, ...change });
    expect(faults({ machines: [{ offering: 'small', count: 1 }], costPerHour: 3n * USD })).toEqual([
      'small: 1 machines, 2 are needed',
    ]);
    expect(faults({ seats: [{ demand: 'x', offering: 'small', replicas: 4, perMachine: 4 }] })).toContain(
      'x: 4 do not fit on small',
    );
    expect(faults({ costPerHour: 5n * USD })).toEqual(['the machines cost 6, not 5 USD per hour']);
    expect(faults({ unplaced: [{ demand: 'x', replicas: 1, reason: 'LIMITS' }] })).toEqual(['x: 4 seated and 1 missing of 4']);
    expect(checkFleet({ ...input, offerings: [{ ...small, maxMachines: 1 }] }, plan)).toEqual([
      'small: 2 machines, at most 1 are allowed',
    ]);
    expect(checkFleet({ ...input, budgetPerHour: 5n * USD }, plan)).toEqual(['6 USD per hour is over the budget']);
  });
});

describe('Joint plans: greedy against exact', () => {
  let solver: FleetSolver;
  beforeAll(async () => {
    solver = await openHighsSolver({ timeLimitMs: 3_000, gap: 0 });
  });

  test('forty small fleets: greedy finds the optimum, the solver proves it, both break no rule', () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const random = seededRandom(seed);
      const input = randomFleet(random, { demands: 2 + Math.floor(random.fraction() * 4), offerings: 10, replicas: 8 });
      const [greedy, exact] = [planFleet(input), planFleetExactly(input, solver)];
      expect([...checkFleet(input, greedy), ...checkFleet(input, exact)]).toEqual([]);
      expect(exact.unplaced.length > 0 ? 0 : exact.gap).toBeLessThanOrEqual(1e-6);
      expect(Number(greedy.costPerHour)).toBeLessThanOrEqual(Number(exact.costPerHour) * 1.03);
    }
  }, 120_000);

  test('a large fleet has a bound that no plan goes below', () => {
    const input = randomFleet(seededRandom(5), { demands: 20, offerings: 120, replicas: 40 });
    const plan = planFleetExactly(input, solver);
    expect(checkFleet(input, plan)).toEqual([]);
    expect(plan.lowerBoundPerHour).toBeLessThanOrEqual(plan.costPerHour);
    expect(plan.gap).toBeLessThanOrEqual(0.04);
  }, 120_000);

  const input = fleet([small, large], [demand('x', 3), demand('y', 2)]);
  test.each<[string, FleetSolver]>([
    ['finds nothing', { relax: () => null, solve: () => ({ values: null, bound: -Infinity }) }],
    [
      'answers with seats that do not add up',
      { relax: () => null, solve: (program) => ({ values: program.costs.map(() => 0), bound: 0 }) },
    ],
    ['answers with a dearer plan', { relax: () => null, solve: ({ upper }) => ({ values: upper, bound: -Infinity }) }],
  ])('a solver that %s leaves the greedy plan', (_, broken) => {
    const greedy = planFleet(input);
    expect(planFleetExactly(input, broken)).toMatchObject({
      method: 'greedy',
      machines: greedy.machines,
      costPerHour: greedy.costPerHour,
    });
  });

  test('a bound above the plan is brought down to it: a proof must not promise more than there is', () => {
    const lying: FleetSolver = {
      relax: () => ({ objective: 10 ** 6, reducedCosts: [] }),
      solve: () => ({ values: null, bound: 10 ** 6 }),
    };
    expect(planFleetExactly(input, lying).gap).toBe(0);
  });
});
