// Measures joint plans: a large fleet with its proven gap, what its planner leaves of the thread beside it, and greedy against the solver's optimum on a thousand small fleets. Fleets are random and
// seeded: machine sizes in a few regions and zones, quotas, stock, shares on demand, spread.
import { extname } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { checkFleet } from '../../src/scheduler/check-fleet.ts';
import { openHighsSolver } from '../../src/scheduler/highs-fleet-solver.adapter.ts';
import { planFleetExactly } from '../../src/scheduler/plan-fleet-exactly.ts';
import { planFleet } from '../../src/scheduler/plan-fleet.ts';
import { ThreadedFleetPlanner } from '../../src/scheduler/threaded-fleet-planner.adapter.ts';
import { seededRandom } from '../../src/simulation/seeded-random.ts';
import { randomFleet } from '../support/random-fleets.ts';
import type { BenchRow } from './bench-row.ts';

const LARGE = { demands: 100, offerings: 400, replicas: 50 };
const LARGE_SEEDS = [1, 2, 3, 4, 5];
const SMALL_FLEETS = 1_000;

export async function run(): Promise<BenchRow[]> {
  return [...(await large()), await beside(), ...(await small())];
}

/** The time that the solver has is what search and proof leave of a second. */
async function large(): Promise<BenchRow[]> {
  const solver = await openHighsSolver({ timeLimitMs: 250, gap: 0.005 });
  planFleetExactly(randomFleet(seededRandom(0), LARGE), solver);
  const plans = LARGE_SEEDS.map((seed) => {
    const input = randomFleet(seededRandom(seed), LARGE);
    const from = performance.now();
    const plan = planFleetExactly(input, solver);
    return { ms: performance.now() - from, gap: plan.gap ?? Infinity, faults: checkFleet(input, plan).length };
  });
  const median = plans.map(({ ms }) => ms).sort((a, b) => a - b)[LARGE_SEEDS.length >> 1] ?? 0;
  const worst = Math.max(...plans.map(({ gap }) => gap));
  return [
    { name: 'joint plan: 100 deployments × 400 offerings, p50', value: Math.round(median), unit: 'ms', goal: '≤ 1000' },
    { name: 'joint plan: proven gap, worst of 5', value: (worst * 100).toFixed(2), unit: '%', goal: '≤ 1' },
    { name: 'joint plan: broken rules', value: plans.reduce((sum, { faults }) => sum + faults, 0), unit: '', goal: '0' },
  ];
}

/** What else runs in a process while its planner's thread works on a large fleet. */
async function beside(): Promise<BenchRow> {
  const script = new URL(`../../src/main/fleet-planner${extname(import.meta.url)}`, import.meta.url);
  const planner = new ThreadedFleetPlanner({ script, answerMs: 30_000, idleMs: 1_000 });
  const input = randomFleet(seededRandom(1), LARGE);
  const pauses = monitorEventLoopDelay({ resolution: 1 });
  pauses.enable();
  await planner.plan({ input, exact: true });
  pauses.disable();
  await planner.stop();
  const value = Math.round(pauses.max / 1_000_000);
  return { name: 'joint plan in its thread: longest pause beside it', value, unit: 'ms', goal: '≤ 100' };
}

async function small(): Promise<BenchRow[]> {
  const solver = await openHighsSolver({ timeLimitMs: 10_000, gap: 0 });
  const excesses = Array.from({ length: SMALL_FLEETS }, (_, seed) => {
    const random = seededRandom(seed + 1);
    const [demands, offerings] = [2 + Math.floor(random.fraction() * 5), 4 + Math.floor(random.fraction() * 10)];
    const input = randomFleet(random, { demands, offerings, replicas: 8 });
    const [greedy, exact] = [planFleet(input), planFleetExactly(input, solver)];
    if (missing(greedy) > missing(exact)) return Infinity;
    return exact.costPerHour === 0n ? 0 : Number(greedy.costPerHour - exact.costPerHour) / Number(exact.costPerHour);
  });
  const equal = excesses.filter((excess) => excess <= 1e-9).length;
  return [
    { name: 'greedy against exact: equal, of 1,000 small fleets', value: (equal / SMALL_FLEETS) * 100, unit: '%', goal: '≥ 95' },
    { name: 'greedy against exact: worst excess', value: (Math.max(...excesses) * 100).toFixed(2), unit: '%', goal: '≤ 3' },
  ];
}

const missing = ({ unplaced }: { readonly unplaced: readonly { readonly replicas: number }[] }): number =>
  unplaced.reduce((sum, { replicas }) => sum + replicas, 0);
