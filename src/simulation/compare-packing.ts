import type { Random } from '../kernel/random.ts';
import { PackedCluster, type PackNode, type PackPod } from '../scheduler/pack-cluster.ts';
import { PodMix } from '../scheduler/pack-mix.ts';
import { planMoves } from '../scheduler/pack-moves.ts';
import { leastStranding, packPods, type PackPolicy, type Refusal } from '../scheduler/pack-pods.ts';
import { bestFit, publishedDescent, randomFit } from './packing-baselines.ts';
import { samplePods } from './sample-pods.ts';

export interface PackingScenario {
  readonly nodes: readonly PackNode[];
  /** The workload that arrivals are drawn from. */
  readonly pods: readonly PackPod[];
  /** Devices asked for over devices that there are. */
  readonly demand: number;
  readonly seed: number;
  /** Share of the pods that sit which may be moved, 0 to 1. */
  readonly maxMovedShare: number;
}

/** What chance and the clock are; the same seed must give the same numbers. */
export interface PackingWorld {
  readonly randomOf: (seed: number) => Random;
  readonly nowMs: () => number;
}

/** One policy on one sample of arrivals. */
export interface PackingRow {
  readonly policy: string;
  /** Devices allocated over devices that there are, 0 to 1. */
  readonly allocatedShare: number;
  readonly decisionsPerSecond: number;
  /** Pods moved over pods that sit, 0 to 1. */
  readonly movedShare: number;
  readonly arrived: number;
  readonly placed: number;
  /** By reason; the parts sum to what arrived and does not sit. */
  readonly refused: Readonly<Record<string, number>>;
}

/** Every policy meets the same arrivals in the same order. */
export function comparePacking(scenario: PackingScenario, world: PackingWorld): PackingRow[] {
  const gpuMilli = new PackedCluster(scenario.nodes).gpuMilli;
  const arrivals = samplePods(scenario.pods, gpuMilli * scenario.demand, world.randomOf(scenario.seed));
  const run = (policy: string, start: (cluster: PackedCluster, random: Random) => PackPolicy): PackingRow => {
    const cluster = new PackedCluster(scenario.nodes);
    const chosen = start(cluster, world.randomOf(scenario.seed + 1));
    const { refused, perSecond } = timed(cluster, arrivals, chosen, world);
    return rowOf({ policy, cluster, arrived: arrivals.length, refused, perSecond, moved: 0 });
  };
  return [
    ...ours(scenario, arrivals, world),
    run('fgd as published', (cluster) => publishedDescent(cluster, scenario.pods)),
    run('best fit', () => bestFit),
    run('random', (_, random) => randomFit(random)),
  ];
}

/** Before and after a few pods have been moved for those that wait. */
function ours(scenario: PackingScenario, arrivals: readonly PackPod[], world: PackingWorld): PackingRow[] {
  const cluster = new PackedCluster(scenario.nodes);
  const policy = leastStranding(new PodMix());
  const { refused, perSecond } = timed(cluster, arrivals, policy, world);
  const outcome = { cluster, arrived: arrivals.length, perSecond };
  const still = rowOf({ ...outcome, policy: 'purser', refused, moved: 0 });
  const maxMoves = Math.floor(cluster.seats.size * scenario.maxMovedShare);
  const { moved } = planMoves(cluster, refused, { maxMoves, policy });
  const waiting = refused.filter(({ pod }) => !cluster.seats.has(pod));
  return [still, rowOf({ ...outcome, policy: 'purser with moves', refused: waiting, moved })];
}

function timed(cluster: PackedCluster, arrivals: readonly PackPod[], policy: PackPolicy, { nowMs }: PackingWorld) {
  const from = nowMs();
  const { refused } = packPods(cluster, arrivals, policy);
  return { refused, perSecond: Math.round((arrivals.length * 1000) / Math.max(1, nowMs() - from)) };
}

interface Outcome {
  readonly policy: string;
  readonly cluster: PackedCluster;
  readonly arrived: number;
  readonly refused: readonly Refusal[];
  readonly perSecond: number;
  readonly moved: number;
}

function rowOf({ policy, cluster, arrived, refused, perSecond, moved }: Outcome): PackingRow {
  const codes = [...Map.groupBy(refused, ({ code }) => code)].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    policy,
    allocatedShare: cluster.gpuMilli === 0 ? 0 : cluster.allocatedGpuMilli / cluster.gpuMilli,
    decisionsPerSecond: perSecond,
    movedShare: cluster.seats.size === 0 ? 0 : moved / cluster.seats.size,
    arrived,
    placed: cluster.seats.size,
    refused: Object.fromEntries(codes.map(([code, pods]) => [code, pods.length])),
  };
}
