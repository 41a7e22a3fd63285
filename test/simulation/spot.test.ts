// The policy for spot capacity in virtual time: on the bundled traces against the clairvoyant, and on random markets (fast-check).
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planSpot, type HeldInstance, type SpotPolicy } from '../../src/scheduler/plan-spot.ts';
import { newSpotRecord, recordSpot } from '../../src/scheduler/spot-record.ts';
import { compareSpot } from '../../src/simulation/compare-spot.ts';
import { groupTraces, parseTrace, parseTraceIndex } from '../../src/simulation/parse-spot-traces.ts';
import { simulateSpot } from '../../src/simulation/simulate-spot.ts';
import { clairvoyantCost, type SpotGroup, type SpotScenario } from '../../src/simulation/spot-market.ts';
import { spotContestants } from '../../src/simulation/spot-policies.ts';
import { readSpotTraces } from '../../src/simulation/spot-traces.adapter.ts';

const LAUNCH_MS = 180_000;
const GROUPS = readSpotTraces(join(import.meta.dirname, '..', '..', 'deploy', 'traces', 'spot'));
const scenarioOf = (group: SpotGroup, replicas: number): SpotScenario => ({
  ...{ group, replicas, onDemandRatio: 3, launchMs: LAUNCH_MS },
});
const run = (scenario: SpotScenario, setting: string) => {
  const contestant = spotContestants(scenario).find((one) => one.policy === 'purser' && one.setting === setting)!;
  return simulateSpot(scenario, contestant.start(scenario));
};

describe('Spot: serving from every recorded market', () => {
  test.each(GROUPS.flatMap((group) => [2, 4, 8].map((replicas) => ({ name: group.name, group, replicas }))))(
    '$name, $replicas replicas: thrifty is within 5 % of the clairvoyant, and no loss outlasts a launch by more than a sample',
    ({ group, replicas }) => {
      const scenario = scenarioOf(group, replicas);
      const { cost, worstLossMs } = run(scenario, 'thrifty');
      expect(cost / clairvoyantCost(scenario)).toBeLessThanOrEqual(1.05);
      expect(worstLossMs).toBeLessThanOrEqual(LAUNCH_MS + group.tickMs);
    },
  );

  test.each(['aws p3.2xlarge 16node availability 2023-08-27', 'gcp n1+nvidia-tesla-p100x1 1node preemption 2020-03-01'])(
    '%s: the share that is asked for is filled',
    (name) => {
      const scenario = scenarioOf(
        GROUPS.find((group) => group.name === name)!,
        4,
      );
      for (const goal of [0.99, 0.995, 0.999])
        expect(run(scenario, `filled ${goal}`).filledShare).toBeGreaterThanOrEqual(goal - 0.001);
    },
  );
});

const randomMarket = fc
  .record({
    zones: fc.integer({ min: 1, max: 4 }),
    ticks: fc.integer({ min: 2, max: 40 }),
    replicas: fc.integer({ min: 1, max: 5 }),
    tickMs: fc.constantFrom(30_000, 180_000, 900_000),
  })
  .chain(({ zones, ticks, replicas, tickMs }) =>
    fc
      .array(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: ticks, maxLength: ticks }), {
        minLength: zones,
        maxLength: zones,
      })
      .map((series) => {
        const traces = series.map((available, n) => ({ pool: `zone-${n}`, available }));
        return scenarioOf({ name: 'random', tickMs, ticks, traces }, replicas);
      }),
  );

describe('Spot: any market', () => {
  test('who is always full is never cheaper than the clairvoyant; shares are shares; on-demand alone costs what it costs', () => {
    fc.assert(
      fc.property(randomMarket, (scenario) => {
        const rows = compareSpot(scenario);
        for (const row of rows) {
          expect(row.filledShare).toBeGreaterThanOrEqual(0);
          expect(row.filledShare).toBeLessThanOrEqual(1);
          if (row.filledShare === 1) expect(row.costToClairvoyant).toBeGreaterThanOrEqual(1 - 1e-9);
        }
        expect(rows.find(({ policy }) => policy === 'on-demand')).toMatchObject({ costToOnDemand: 1, filledShare: 1, moves: 0 });
      }),
      { numRuns: 60 },
    );
  });

  test('the same market gives the same table, digit by digit', () => {
    fc.assert(
      fc.property(randomMarket, (scenario) => {
        expect(compareSpot(scenario)).toEqual(compareSpot(scenario));
      }),
      { numRuns: 10 },
    );
  });

  test('a missing replica is missing no longer than a launch and a sample, however the market jumps', () => {
    fc.assert(
      fc.property(randomMarket, (scenario) => {
        expect(run(scenario, 'thrifty').worstLossMs).toBeLessThanOrEqual(LAUNCH_MS + scenario.group.tickMs);
      }),
      { numRuns: 200 },
    );
  });
});

describe('Spot: what is held', () => {
  const policy: SpotPolicy = {
    ...{ replicas: 2, onDemandRatio: 3, launchMs: LAUNCH_MS, patienceMs: 60_000, yieldMs: 0, filledGoal: null },
  };
  const held = (pool: string | null, id: string, readyAt = 0): HeldInstance => ({ id, pool, readyAt });
  const decide = (change: Partial<SpotPolicy>, instances: readonly HeldInstance[], refused: readonly string[] = []) =>
    planSpot(
      {
        policy: { ...policy, ...change },
        record: recordSpot(
          newSpotRecord(0),
          { replicas: 2, readyBefore: 2, ready: 2, heldBefore: new Map(), lost: new Map([['a', 1]]) },
          1_000,
        ),
        held: instances,
        pools: ['a', 'b', 'c'],
        refused: new Set(refused),
      },
      1_000,
    );

  test.each([
    { what: 'spot is spread', launches: ['b', 'c'] },
    { what: 'on-demand stands in for what spot refuses', has: [held('b', '1')], refused: ['a', 'b', 'c'], launches: [null] },
    { what: 'on-demand stays until its successor is ready', has: [held('b', '1'), held('c', '2', 90_000), held(null, '3')] },
    { what: 'on-demand goes once its successor is ready', has: [held('b', '1'), held('c', '2'), held(null, '3')], stops: ['3'] },
    {
      what: 'a goal that allows nothing holds a spare in a third pool',
      goal: 1,
      has: [held('b', '1'), held('c', '2')],
      launches: ['a'],
    },
    {
      what: 'without a third pool each of the two gets enough to stand alone',
      ...{ goal: 1, has: [held('b', '1'), held('c', '2')], refused: ['a'], launches: ['b', 'c'] },
    },
    {
      what: 'where spot has no more the spare is on demand',
      ...{ goal: 1, has: [held('b', '1'), held('c', '2')], refused: ['a', 'b', 'c'], launches: [null] },
    },
    {
      what: 'a spare that is not wanted goes, from where most is lost',
      has: [held('a', '1'), held('b', '2'), held('c', '3')],
      stops: ['1'],
    },
  ])('$what', ({ goal = null, has = [], refused = [], launches = [], stops = [] }) => {
    expect(decide({ filledGoal: goal }, has, refused)).toEqual({ launches, stops });
  });
});

describe('Spot: traces that cannot be used', () => {
  const INDEX = 'file,cloud,zone,instance_type,nodes_requested,kind,start_date,gap_seconds\n';
  const entry = (zone: string, gap: string) => `${zone}.csv,aws,${zone},p3.2xlarge,1,availability,2023-02-15,${gap}\n`;

  test.each([
    ['a gap that is none', () => parseTraceIndex(INDEX + entry('a', '0')), /index\.csv, line 2: gap_seconds/],
    ['a column that is missing', () => parseTraceIndex('file,cloud\na.csv,aws\n'), /index\.csv, line 2: the column gap_seconds/],
    [
      'a number of instances that is none',
      () => parseTrace('tick_seconds,available\n0,1\n60,-1\n', 'a.csv'),
      /a\.csv, line 3: available/,
    ],
    [
      'two traces of one zone',
      () => groupTraces(parseTraceIndex(INDEX + entry('a', '60') + entry('a', '60')).map((one) => ({ ...one, available: [1] }))),
      /two traces of one zone/,
    ],
    [
      'traces of one group with different gaps',
      () => groupTraces(parseTraceIndex(INDEX + entry('a', '60') + entry('b', '30')).map((one) => ({ ...one, available: [1] }))),
      /different gap_seconds/,
    ],
    ['a folder that is not there', () => readSpotTraces('/nowhere'), /\/nowhere\/index\.csv is not there/],
  ])('%s', (_, read, message) => {
    expect(read).toThrow(message);
  });
});
