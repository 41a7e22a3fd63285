// How many replicas carry a throughput, by tables and random rates (fast-check); which accelerator wins, over random markets. Everything is pure.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ReplicaRate } from '../../src/registry/model-version.ts';
import { ANY_GPU } from '../../src/scheduler/demand.ts';
import { planPlacement } from '../../src/scheduler/plan-placement.ts';
import { cheapestOf, ratedReplicas, throughputInWords } from '../../src/scheduler/throughput.ts';
import { makeMarket, MARKET_NOW } from '../support/market.ts';

const CPU = { cpuMilli: 1000, memoryMib: 2048, accelerator: null };
const onGpu = (model: string) => ({ ...CPU, accelerator: { model, countMilli: 1000, memoryMib: 8192 } });
const rate = (accelerator: string | null, perSecond: number): ReplicaRate => ({
  accelerator,
  milliRequestsPerSecond: perSecond * 1_000,
});
const RATES = [rate(null, 3), rate('T4', 10), rate('L4', 40)];

describe('Throughput: as many replicas as carry it', () => {
  test.each([
    ['what needs no accelerator, by the rate without one', CPU, 100, [[null, 34]]],
    ['an accelerator by name, by its own rate', onGpu('L4'), 100, [['L4', 3]]],
    [
      'any GPU, once for each that is rated',
      onGpu(ANY_GPU),
      100,
      [
        ['T4', 10],
        ['L4', 3],
      ],
    ],
    ['exactly full', onGpu('T4'), 20, [['T4', 2]]],
    ['less than one carries', onGpu('T4'), 0.001, [['T4', 1]]],
    ['an accelerator that nobody rated', onGpu('H100'), 100, []],
  ] as const)('%s', (_, resources, perSecond, expected) => {
    const rated = ratedReplicas(resources, perSecond * 1_000, RATES);
    expect(rated.map((one) => [one.rate.accelerator, one.replicas])).toEqual(expected);
    for (const one of rated) expect(one.resources.accelerator?.model ?? null).toBe(resources.accelerator && one.rate.accelerator);
  });

  test('they carry it, and one less does not', () => {
    const amount = fc.integer({ min: 1, max: 1_000_000_000 });
    fc.assert(
      fc.property(amount, amount, (goal, milliRequestsPerSecond) => {
        const [{ replicas } = { replicas: 0 }] = ratedReplicas(CPU, goal, [{ accelerator: null, milliRequestsPerSecond }]);
        expect(replicas * milliRequestsPerSecond).toBeGreaterThanOrEqual(goal);
        expect((replicas - 1) * milliRequestsPerSecond).toBeLessThan(goal);
      }),
    );
  });

  test('the accelerator wins whose replicas cost least together, and the table has the others', () => {
    const some = fc.record({
      seed: fc.integer({ min: 1, max: 1_000 }),
      t4: fc.integer({ min: 1, max: 50 }),
      l4: fc.integer({ min: 1, max: 50 }),
      a100: fc.integer({ min: 1, max: 50 }),
    });
    fc.assert(
      fc.property(some, ({ seed, t4, l4, a100 }) => {
        const candidates = makeMarket(200, seed);
        const rates = [rate('T4', t4), rate('L4', l4), rate('A100', a100)];
        const placed = ratedReplicas(onGpu(ANY_GPU), 100_000, rates).map((one) => {
          const demand = { resources: one.resources, replicas: one.replicas, capacityTypes: ['on_demand', 'spot'] as const };
          const placement = planPlacement({ demand, policy: { regions: ['*'] }, candidates }, MARKET_NOW);
          return { ...one, placement, hourly: placement.hourly };
        });
        const there = placed.filter(({ placement }) => placement.places.length > 0);
        const won = cheapestOf(placed);
        for (const one of there) expect(won!.hourly).toBeLessThanOrEqual(one.hourly);
        if (there.length === 0) return;
        const shown = new Set(won!.placement.best.map(({ offering }) => offering.accelerator?.model));
        expect([...shown].sort()).toEqual(there.map((one) => one.rate.accelerator).sort());
        expect(won!.placement.wouldChange.length).toBeGreaterThanOrEqual(there.length - 1);
      }),
      { numRuns: 40 },
    );
  });

  test('it says why so many', () => {
    const [one] = ratedReplicas(onGpu('L4'), 100_500, RATES);
    expect(throughputInWords(100_500, one!, 4)).toBe(
      '100.5 requests per second take 3 replicas on L4: one carries 40, as version 4 says.',
    );
  });
});
