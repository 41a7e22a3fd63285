import type { Random } from '../kernel/random.ts';
import { PackedCluster, type PackNode, type PackPod, type PodKind } from '../scheduler/pack-cluster.ts';
import { PodMix } from '../scheduler/pack-mix.ts';
import { planMoves } from '../scheduler/pack-moves.ts';
import { leastStranding, packPods, type PackPolicy, type Refusal } from '../scheduler/pack-pods.ts';
import { spoilersWait } from '../scheduler/pack-waiting.ts';
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
  const others = (name: string, start: (cluster: PackedCluster, random: Random) => PackPolicy): PackingRow => {
    const cluster = new PackedCluster(scenario.nodes);
    const policy = start(cluster, world.randomOf(scenario.seed + 1));
    return rowOf(name, packed({ cluster, arrivals, policy }, world));
  };
  return [
    ...ours(scenario, arrivals, world),
    others('fgd as published', (cluster) => publishedDescent(cluster, scenario.pods)),
    others('best fit', () => bestFit),
    others('random', (_, random) => randomFit(random)),
  ];
}

/** As pods come; then with few moved for those that found no room; and with some held back until then although they fitted. */
function ours({ nodes, maxMovedShare }: PackingScenario, arrivals: readonly PackPod[], world: PackingWorld): PackingRow[] {
  const start = (): Run & { readonly mix: PodMix } => {
    const mix = new PodMix();
    return { cluster: new PackedCluster(nodes), arrivals, mix, policy: leastStranding(mix) };
  };
  const prompt = start();
  const still = packed(prompt, world);
  const row = rowOf('purser', still);
  const patient = start();
  const held = packed({ ...patient, waits: spoilersWait(patient.cluster, patient.mix) }, world);
  return [
    row,
    rowOf('purser with moves', moved(still, prompt.policy, maxMovedShare)),
    rowOf('purser with waiting and moves', moved(held, patient.policy, maxMovedShare)),
  ];
}

interface Run {
  readonly cluster: PackedCluster;
  readonly arrivals: readonly PackPod[];
  readonly policy: PackPolicy;
  readonly waits?: (kind: PodKind) => boolean;
}

interface Outcome {
  readonly cluster: PackedCluster;
  readonly arrived: number;
  readonly refused: readonly Refusal[];
  readonly perSecond: number;
  readonly moved: number;
}

function packed({ cluster, arrivals, policy, waits }: Run, { nowMs }: PackingWorld): Outcome {
  const from = nowMs();
  const { refused } = packPods(cluster, arrivals, policy, waits);
  const perSecond = Math.round((arrivals.length * 1000) / Math.max(1, nowMs() - from));
  return { cluster, arrived: arrivals.length, refused, perSecond, moved: 0 };
}

/** Changes the cluster. */
function moved(outcome: Outcome, policy: PackPolicy, maxMovedShare: number): Outcome {
  const { cluster, refused } = outcome;
  const plan = planMoves(cluster, refused, { maxMoves: Math.floor(cluster.seats.size * maxMovedShare), policy });
  return { ...outcome, moved: plan.moved, refused: refused.filter(({ pod }) => !cluster.seats.has(pod)) };
}

function rowOf(policy: string, { cluster, arrived, refused, perSecond, moved }: Outcome): PackingRow {
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
