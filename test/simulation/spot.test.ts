// The policy for spot capacity in virtual time: on the bundled traces against the clairvoyant, and on random markets (fast-check).
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planSpot, type HeldInstance, type SpotPolicy } from '../../src/scheduler/plan-spot.ts';
import type { SpotGoal } from '../../src/scheduler/spot-goal.ts';
import { newSpotRecord, recordSpot, type SpotRecord } from '../../src/scheduler/spot-record.ts';
import { jointShare, poolRisk, type SpotPool } from '../../src/scheduler/spot-risk.ts';
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

  test.each(GROUPS.map(({ name }) => name).filter((name) => /p3.2xlarge 16node|p100x1|r5/.test(name)))(
    '%s: the share that is asked for is filled',
    (name) => {
      const scenario = scenarioOf(
        GROUPS.find((group) => group.name === name)!,
        4,
      );
      for (const goal of [0.98, 0.99, 0.995, 0.999])
        expect(run(scenario, `filled ${goal}`).filledShare).toBeGreaterThanOrEqual(goal - 0.005);
      expect(run(scenario, 'filled 1').filledShare).toBe(1);
    },
  );

  test.each(GROUPS.flatMap((group) => [2, 4, 8].map((replicas) => ({ name: group.name, group, replicas }))))(
    '$name, $replicas replicas: the share that is to be kept is kept, whatever is lost',
    ({ group, replicas }) => {
      for (const share of [0.99, 0.999])
        expect(run(scenarioOf(group, replicas), `kept ${share}`).filledShare).toBeGreaterThanOrEqual(share);
    },
  );

  test.each(GROUPS.flatMap((group) => [2, 4, 8].map((replicas) => ({ name: group.name, group, replicas }))))(
    '$name, $replicas replicas: for every setting of SpotHedge one of ours is as cheap and as filled, and at 99.9 % who stands by is dearer, or costs no more than the clairvoyant',
    ({ group, replicas }) => {
      const rows = compareSpot(scenarioOf(group, replicas));
      const of = (...policies: string[]) => rows.filter(({ policy }) => policies.includes(policy));
      for (const hedge of of('spothedge'))
        expect(
          of('purser').some(
            (our) => our.costToOnDemand <= hedge.costToOnDemand + 1e-9 && our.filledShare >= hedge.filledShare - 1e-9,
          ),
          `${hedge.setting}: ${hedge.costToClairvoyant} at ${hedge.filledShare}`,
        ).toBe(true);
      const cheapest = (some: typeof rows) =>
        Math.min(...some.filter(({ filledShare }) => filledShare >= 0.999).map(({ costToClairvoyant }) => costToClairvoyant));
      const [ours, standby] = [cheapest(of('purser')), cheapest(of('fixed standby', 'on-demand'))];
      if (standby > 1 + 1e-9) expect(ours).toBeLessThan(standby - 1e-9);
      else expect(ours).toBeLessThanOrEqual(standby + 1e-9);
    },
    60_000,
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

describe('Spot: a share that is kept', () => {
  test('at no end of any market less was served, as long as on-demand can be had', () => {
    fc.assert(
      fc.property(randomMarket, fc.constantFrom(0.99, 0.995, 0.999, 0.9995), (scenario, share) => {
        expect(run(scenario, `kept ${share}`).filledShare).toBeGreaterThanOrEqual(share - 1e-9);
      }),
      { numRuns: 200 },
    );
  });
});

describe('Spot: what is held', () => {
  const policy: SpotPolicy = {
    replicas: 2,
    onDemandRatio: 3,
    launchMs: LAUNCH_MS,
    lookMs: 60_000,
    goal: { kind: 'spares', spares: 0 },
  };
  const held = (pool: string | null, id: string, readyAt = 0, leavesAt: number | null = null): HeldInstance => ({
    id,
    pool,
    readyAt,
    leavesAt,
  });
  const poolOf = (name: string, change: Partial<SpotPool> = {}): SpotPool => ({
    ...{ name, zone: name, region: `aws/${name}`, price: 1, interruptionBand: null, ...change },
  });
  const NOW = 10_000;
  /** Pool a just lost something, the others are calm. */
  const afterLoss = (ready: number): SpotRecord =>
    recordSpot(
      newSpotRecord(0),
      {
        ...{ replicas: 2, launchMs: LAUNCH_MS, readyBefore: 2, ready },
        ...{
          heldBefore: new Map([
            ['a', 1],
            ['b', 1],
            ['c', 1],
          ]),
          lost: new Map([['a', 1]]),
        },
      },
      NOW,
    );
  interface World {
    readonly goal?: SpotGoal;
    readonly has?: readonly HeldInstance[];
    readonly refused?: readonly string[];
    readonly pools?: readonly SpotPool[];
    readonly ready?: number;
  }
  const decide = ({
    goal = policy.goal,
    has = [],
    refused = [],
    pools = ['a', 'b', 'c'].map((name) => poolOf(name)),
    ready = 2,
  }: World) =>
    planSpot({ policy: { ...policy, goal }, record: afterLoss(ready), held: has, pools, refused: new Set(refused) }, NOW);
  const spares = (count: number): SpotGoal => ({ kind: 'spares', spares: count });
  const near = ['a', 'b', 'c'].map((name) => poolOf(name, { region: name === 'c' ? 'aws/far' : 'aws/near' }));

  test.each<World & { what: string; launches?: (string | null)[]; stops?: string[] }>([
    { what: 'spot is spread, over what is calm', launches: ['b', 'c'] },
    { what: 'on-demand stands in for what spot refuses', has: [held('b', '1')], refused: ['a', 'b', 'c'], launches: [null] },
    { what: 'on-demand stays until its successor is ready', has: [held('b', '1'), held('c', '2', 90_000), held(null, '3')] },
    { what: 'on-demand goes once its successor is ready', has: [held('b', '1'), held('c', '2'), held(null, '3')], stops: ['3'] },
    { what: 'a spare is in a third pool', goal: spares(1), has: [held('b', '1'), held('c', '2')], launches: ['a'] },
    {
      what: 'where spot has no more the spare is on demand',
      ...{ goal: spares(1), has: [held('b', '1'), held('c', '2')], refused: ['a', 'b', 'c'], launches: [null] },
    },
    {
      what: 'a spare that is not wanted goes, from where something was lost',
      ...{ has: [held('a', '1'), held('b', '2'), held('c', '3')], stops: ['1'] },
    },
    {
      what: 'a spare is where nothing fails together with the rest',
      goal: spares(1),
      has: [held('b', '1'), held('c', '2')],
      pools: [...near, poolOf('d', { region: 'aws/other' })],
      launches: ['d'],
    },
    {
      what: 'the cheaper pool is taken where missing time costs nothing',
      goal: { kind: 'thrifty' },
      pools: [poolOf('b'), poolOf('c', { price: 0.5 })],
      launches: ['c', 'c'],
    },
    {
      what: 'a calm band is believed before anything was seen',
      goal: spares(0),
      pools: [poolOf('x'), poolOf('y', { interruptionBand: '<5%' }), poolOf('z', { interruptionBand: '<5%' })],
      launches: ['y', 'z'],
    },
    { what: 'everything that must be filled is on demand', goal: { kind: 'filled', share: 1 }, launches: [null, null] },
    {
      what: 'a notice: the successor is launched at once, what was told to leave serves until it goes',
      ...{ has: [held('b', '1', 0, 60_000), held('c', '2')], refused: ['b', 'c'], launches: ['a'] },
    },
    {
      what: 'a notice where no spot is left: the successor is on demand',
      ...{ has: [held('b', '1', 0, 60_000), held('c', '2')], refused: ['a', 'b', 'c'], launches: [null] },
    },
    {
      what: 'a shortage that waits for spot launches no on-demand in the same look',
      ...{ goal: { kind: 'patient' }, has: [held('b', '1')], refused: ['a', 'b', 'c'], ready: 1, launches: [] },
    },
  ])('$what', ({ launches = [], stops = [], what: _, ...world }) => {
    expect(decide(world)).toMatchObject({ launches, stops });
  });

  test('a storm of notices is one plan: as many successors as are leaving, and the next plan is empty', () => {
    const storm = Array.from({ length: 40 }, (_, n) => held('b', `${n}`, 0, 120_000));
    const input = {
      policy: { ...policy, replicas: 40 },
      record: afterLoss(40),
      held: storm,
      pools: [poolOf('c')],
      refused: new Set<string>(),
    };
    const plan = planSpot(input, NOW);
    expect(plan).toMatchObject({ launches: Array(40).fill('c'), stops: [] });
    const successors = plan.launches.map((pool, n) => held(pool, `new ${n}`, NOW + LAUNCH_MS));
    expect(planSpot({ ...input, held: [...storm, ...successors] }, NOW)).toMatchObject({ launches: [], stops: [] });
  });

  test('what was carried out is not planned again, whatever is held', () => {
    const instance = fc.record({
      pool: fc.constantFrom('a', 'b', 'c', null),
      readyAt: fc.constantFrom(0, 50_000),
      leavesAt: fc.constantFrom(null, null, 60_000),
    });
    const kept = [0.5, 0.999].map((share) => ({ kind: 'kept' as const, share }));
    const goal: fc.Arbitrary<SpotGoal> = fc.constantFrom(
      { kind: 'thrifty' },
      { kind: 'patient' },
      spares(0),
      spares(2),
      ...kept,
      {
        kind: 'filled',
        share: 0.999,
      },
    );
    fc.assert(
      fc.property(fc.array(instance, { maxLength: 6 }), goal, fc.subarray(['a', 'b', 'c']), (some, goal, refused) => {
        const has = some.map((one, n) => ({ ...one, id: `${n}` }));
        const first = decide({ has, goal, refused });
        const after = [
          ...has.filter(({ id }) => !first.stops.includes(id)),
          ...first.launches.map((pool, n) => held(pool, `new ${n}`, NOW + LAUNCH_MS)),
        ];
        expect(decide({ has: after, goal, refused })).toMatchObject({ launches: [], stops: [] });
        for (const id of first.stops) expect(has.find((one) => one.id === id)?.leavesAt).toBeNull();
      }),
      { numRuns: 300 },
    );
  });
});

describe('Spot: what is known of pools', () => {
  const seen = (lost: [string, number][], launchMs = LAUNCH_MS) => ({
    ...{ replicas: 2, launchMs, readyBefore: 2, ready: 2 - lost.length },
    ...{
      heldBefore: new Map([
        ['a', 2],
        ['b', 2],
      ]),
      lost: new Map(lost),
    },
  });
  const pool = (name: string, interruptionBand: string | null = null): SpotPool => ({
    name,
    zone: name,
    region: 'aws/x',
    price: 1,
    interruptionBand,
  });
  const HOUR = 3_600_000;

  test('the longer it was calm, the less is lost; a loss makes it young again, and worse than others', () => {
    const young = newSpotRecord(0);
    const calm = recordSpot(young, seen([]), 8 * HOUR);
    const lost = recordSpot(calm, seen([['a', 1]]), 8 * HOUR);
    const rate = (record: SpotRecord, name = 'a') => poolRisk(record, pool(name)).rate;
    expect(rate(calm)).toBeLessThan(rate(young) / 5);
    expect(rate(lost)).toBeGreaterThan(rate(calm) * 5);
    expect(rate(lost, 'b')).toBe(rate(calm, 'b'));
  });

  test('bands are ordered, an unknown one is feared more than any, and one loss outweighs what is published', () => {
    const rates = ['<5%', '5-10%', '10-15%', '15-20%', '>20%', null].map(
      (band) => poolRisk(newSpotRecord(0), pool('a', band)).rate,
    );
    expect(rates).toEqual([...rates].sort((a, b) => a - b));
    const after = recordSpot(newSpotRecord(0), seen([['a', 2]]), HOUR);
    expect(poolRisk(after, pool('a', '<5%')).rate).toBeGreaterThan(4 * (rates[4] ?? 0));
  });

  test('pools that lose within one launch of each other are learned to be one, others not', () => {
    const lose = (gapMs: number) => {
      let record = newSpotRecord(0);
      for (let n = 1; n <= 30; n += 1) {
        record = recordSpot(record, seen([['a', 1]]), n * HOUR);
        record = recordSpot(record, seen([['b', 1]]), n * HOUR + gapMs);
      }
      return jointShare(record, pool('a'), pool('b'));
    };
    expect(lose(60_000)).toBeGreaterThan(0.7);
    expect(lose(600_000)).toBeLessThan(0.05);
  });
});

describe('Spot: traces that cannot be used', () => {
  const INDEX = 'file,cloud,zone,instance_type,nodes_requested,kind,start_date,gap_seconds\n';
  const MINUTES = { file: 'a.csv', tickMs: 60_000 };
  const entry = (zone: string, gap: string) => `${zone}.csv,aws,${zone},p3.2xlarge,1,availability,2023-02-15,${gap}\n`;

  test.each([
    ['a gap that is none', () => parseTraceIndex(INDEX + entry('a', '0')), /index\.csv, line 2: gap_seconds/],
    ['a column that is missing', () => parseTraceIndex('file,cloud\na.csv,aws\n'), /index\.csv, line 2: the column gap_seconds/],
    [
      'a number of instances that is none',
      () => parseTrace('tick_seconds,available\n0,1\n60,-1\n', MINUTES),
      /a\.csv, line 3: available/,
    ],
    ['samples that are missing', () => parseTrace('tick_seconds,available\n0,1\n60,1\n600,1\n', MINUTES), /line 4: 540 s after/],
    ['samples in another order', () => parseTrace('tick_seconds,available\n60,1\n0,1\n', MINUTES), /line 3: -60 s after/],
    [
      'another gap than it says',
      () => parseTrace('tick_seconds,available\n0,1\n300,1\n', MINUTES),
      /gap_seconds of index.csv is 60/,
    ],
    ['a time that is none', () => parseTrace('tick_seconds,available\n0,1\n,1\n', MINUTES), /line 3: tick_seconds/],
    ['a trace without samples', () => parseTrace('tick_seconds,available\n', MINUTES), /a\.csv has no samples/],
    ['an index that names nothing', () => parseTraceIndex(INDEX), /index\.csv names no trace/],
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
