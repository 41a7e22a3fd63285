// Spot serving over every bundled trace and N = 2, 4, 8, on-demand at three times spot, 180 s per launch, and how fast it is simulated.
// Ratios and counts within one run; the speed is of one policy, in CPU time, median of its settings.
import { join } from 'node:path';
import { packageRoot } from '../../src/main/package-root.ts';
import { compareSpot, type SpotRow } from '../../src/simulation/compare-spot.ts';
import { makeMarket } from '../../src/simulation/made-up-market.ts';
import { seededRandom } from '../../src/simulation/seeded-random.ts';
import { simulateSpot } from '../../src/simulation/simulate-spot.ts';
import type { SpotGroup, SpotScenario } from '../../src/simulation/spot-market.ts';
import { spotContestants } from '../../src/simulation/spot-policies.ts';
import { readSpotTraces } from '../../src/simulation/spot-traces.adapter.ts';
import type { BenchRow } from './bench-row.ts';

const LAUNCH_MS = 180_000;
const REPLICAS = [2, 4, 8];
const SAME = 1e-9;
/** A month of nine zones, sampled as the longest of the traces. */
const MONTH = { regions: 3, zonesPerRegion: 3, days: 30, tickMs: 195_000, capacity: 1 };
const SEED = 1;

const scenarioOf = (group: SpotGroup, replicas: number): SpotScenario => ({
  ...{ group, replicas, onDemandRatio: 3, launchMs: LAUNCH_MS },
});

export async function run(): Promise<readonly BenchRow[]> {
  const groups = readSpotTraces(join(packageRoot, 'deploy', 'traces', 'spot'));
  const markets = groups.flatMap((group) => REPLICAS.map((replicas) => judge(group, compareSpot(scenarioOf(group, replicas)))));
  const count = (is: (market: (typeof markets)[number]) => boolean): string =>
    `${markets.filter(is).length} of ${markets.length}`;
  const worst = (of: (market: (typeof markets)[number]) => number): string => Math.max(...markets.map(of)).toFixed(3);
  return Promise.resolve([
    { name: 'thrifty, cost over the clairvoyant, the worst', value: worst(({ thrifty }) => thrifty), unit: '×', goal: '≤ 1.05' },
    {
      name: 'thrifty, longest loss beyond a launch, the worst',
      ...{ value: worst(({ lossTicks }) => lossTicks), unit: 'samples', goal: '≤ 1' },
    },
    {
      name: 'a setting of SpotHedge is better than all of ours',
      value: count(({ isBeaten }) => isBeaten),
      unit: 'markets',
      goal: '0',
    },
    {
      name: 'at 99.9 % cheaper than the cheapest fixed standby',
      value: count(({ standby }) => standby < 1 - SAME),
      unit: 'markets',
    },
    { name: 'at 99.9 % as cheap as it', value: count(({ standby }) => Math.abs(standby - 1) <= SAME), unit: 'markets' },
    {
      name: 'the same, where it costs more than the clairvoyant',
      ...{ value: count(({ standby, hasRoom }) => Math.abs(standby - 1) <= SAME && hasRoom), unit: 'markets', goal: '0' },
    },
    { name: 'at 99.9 % dearer', value: count(({ standby }) => standby > 1 + SAME), unit: 'markets', goal: '0' },
    ...speedRows(),
  ]);
}

function judge({ tickMs }: SpotGroup, rows: readonly SpotRow[]) {
  const of = (...policies: string[]): SpotRow[] => rows.filter(({ policy }) => policies.includes(policy));
  const ours = of('purser');
  const [thrifty] = ours.filter(({ setting }) => setting === 'thrifty');
  const isMatched = (hedge: SpotRow): boolean =>
    ours.some((our) => our.costToOnDemand <= hedge.costToOnDemand + SAME && our.filledShare >= hedge.filledShare - SAME);
  const cheapest = (some: readonly SpotRow[]): number =>
    Math.min(...some.filter(({ filledShare }) => filledShare >= 0.999).map(({ costToClairvoyant }) => costToClairvoyant));
  const standby = cheapest(of('fixed standby', 'on-demand'));
  return {
    thrifty: thrifty?.costToClairvoyant ?? Infinity,
    lossTicks: (thrifty?.worstLossTicks ?? Infinity) - LAUNCH_MS / tickMs,
    isBeaten: !of('spothedge').every(isMatched),
    standby: cheapest(ours) / standby,
    // Who is always full cannot cost less than the clairvoyant.
    hasRoom: standby > 1 + SAME,
  };
}

function speedRows(): BenchRow[] {
  const scenario = scenarioOf(makeMarket(MONTH, seededRandom(SEED), 'a month'), 4);
  const runs = spotContestants(scenario).map(({ start }) => {
    const before = process.cpuUsage();
    const { events } = simulateSpot(scenario, start(scenario));
    const { user, system } = process.cpuUsage(before);
    return { events, seconds: (user + system) / 1e6 };
  });
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  return [
    {
      name: 'a month of nine zones, one policy, the slowest',
      ...{ value: Math.max(...runs.map(({ seconds }) => seconds)).toFixed(2), unit: 's', goal: '≤ 2' },
    },
    {
      name: 'events (samples of pools, launches, losses …) a second, median',
      ...{ value: Math.round(median(runs.map(({ events, seconds }) => events / seconds))), unit: '/s', goal: '≥ 1,000,000' },
    },
    {
      name: 'the same, over all policies, thinking included',
      ...{ value: Math.round(sum(runs.map(({ events }) => events)) / sum(runs.map(({ seconds }) => seconds))), unit: '/s' },
    },
  ];
}
