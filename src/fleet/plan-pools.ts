import type { CloudNode, CloudPoolState } from '../clouds/cloud-provider.port.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { WorthItVerdict } from '../pricing/worth-it.ts';
import type { NodeResources, ObservedNode, WaitingPod } from './cluster-inventory.port.ts';
import type { Pool } from './cluster.ts';
import { carries, type ClusterNode, type PoolScaling } from './node.ts';

/** How fast pools move. */
export interface PoolPace {
  /** A node without work is kept this long. Higher: idle nodes are paid for; lower: the next burst waits for new ones. */
  readonly idleMs: number;
  /** After growing, nothing is given back for this long. Higher and lower likewise. */
  readonly settleMs: number;
  /** Between two changes of a pool's size. Higher: bursts wait; lower: the same pods are counted before their nodes have come. */
  readonly stepMs: number;
  /** Nodes that one change may add or give back. Higher: a mistake costs more; lower: bursts wait. */
  readonly maxStep: number;
  /** A waiting pod is passed over for this long: the scheduler may find it a place. */
  readonly patienceMs: number;
}

export const POOL_PACE: PoolPace = { idleMs: 600_000, settleMs: 300_000, stepMs: 30_000, maxStep: 10, patienceMs: 2_000 };

/** A pool that scales, with everything that is known of it. */
export interface ScaledPool {
  readonly pool: Pool;
  readonly scaling: PoolScaling;
  /** Null = its provider could not be asked: unknown. */
  readonly cloud: CloudPoolState | null;
  /** What a node of it has; null = not known until its first one has come. */
  readonly shape: NodeResources | null;
  /** Its nodes, as the cluster shows them. */
  readonly nodes: readonly ObservedNode[];
  /** The rows of those nodes, which know since when they are idle. */
  readonly rows: readonly ClusterNode[];
  /** Its provider said no; it is not asked for more before then. */
  readonly refusedUntil: Instant | null;
  /** What it said, where that concerns every pool of this kind of capacity; null = nothing that stands. */
  readonly refusal: PoolPlan['stalled'];
  /** Why its growth waits for a person; null = it does not. */
  readonly held: string | null;
}

/** A node whose work fits on others, and why it is worth emptying it. */
export interface Consolidation {
  readonly poolId: Id;
  readonly node: Pick<ObservedNode, 'uid' | 'name'>;
  /** Where its pods would find room. */
  readonly moves: readonly { readonly pod: string; readonly to: string }[];
  readonly verdict: WorthItVerdict;
}

export type PoolStep =
  | {
      readonly kind: 'scale';
      readonly poolId: Id;
      readonly from: number;
      readonly to: number;
      readonly release: readonly string[];
    }
  | { readonly kind: 'cordon' | 'uncordon' | 'forget'; readonly poolId: Id; readonly node: Pick<ObservedNode, 'uid' | 'name'> }
  /** Of a pool that was removed and has no machines left. */
  | { readonly kind: 'delete'; readonly poolId: Id }
  /** Others have room for what is on the node: it takes nothing new, and its pods leave. */
  | { readonly kind: 'empty'; readonly poolId: Id; readonly consolidation: Consolidation }
  /** The node that was being emptied is empty, gone, or needed after all. */
  | { readonly kind: 'emptied'; readonly poolId: Id };

export interface PlannedStep {
  readonly step: PoolStep;
  readonly reason: string;
}

export interface PoolPlan {
  readonly poolId: Id;
  readonly steps: readonly PlannedStep[];
  /** Why it does not do what its pods would need; null = nothing keeps it. */
  readonly stalled: { readonly reason: string; readonly message: string } | null;
}

/**
 * The next step of each pool: it grows for pods that no node has taken, never above its maximum, and gives back nodes that had no work for
 * a while, never below its minimum. What is unknown (a provider that does not answer, a node that nobody hears of) gives nothing back.
 */
export function planPools(
  pools: readonly ScaledPool[],
  waiting: readonly WaitingPod[],
  pace: PoolPace,
  now: Instant,
): PoolPlan[] {
  const patient = waiting.filter(({ message, since }) => message !== '' && now - since >= pace.patienceMs);
  let left = patient;
  return pools.map((one) => {
    const mine = left.filter((pod) => isFor(pod, one.pool));
    const room = roomFor(one, mine, now);
    left = left.filter((pod) => !room.placed.has(pod.uid));
    return planPool({ one, room, wanted: mine.length > 0, pace: paceOf(one.scaling, pace), now });
  });
}

/** A pool may say itself how long its nodes are kept without work. */
function paceOf({ config }: PoolScaling, pace: PoolPace): PoolPace {
  const idleMs = Number(config['idleSeconds']) * 1_000;
  return idleMs > 0 ? { ...pace, idleMs, settleMs: Math.min(pace.settleMs, idleMs) } : pace;
}

/** Pods name their pool; of those that do not, the labels decide. */
const isFor = (pod: WaitingPod, pool: Pool): boolean =>
  pod.pool === null ? carries({ ...pool.nodeSelector }, pod.nodeSelector) : pod.pool === pool.name;

interface Room {
  readonly placed: ReadonlySet<Id>;
  /** Nodes beyond those that are on their way. */
  readonly more: number;
  /** Pods that not even an empty node of the pool could take. */
  readonly tooLarge: number;
}

/** A node that joined longer ago than this and is not ready will not be soon. Higher: pods wait for a broken one; lower: slow ones are rented twice. */
const NEW_MS = 300_000;

/** Machines that are paid for and not yet of use, or could be again: pods will go there, so that nobody asks for them twice. */
function comingOf({ cloud, nodes }: ScaledPool, now: Instant): number {
  if (!cloud) return 0;
  const paid = nodes.filter((node) => !isLeaving(machineOf(node, cloud)));
  return Math.max(0, cloud.desired - paid.filter((node) => isUseful(node) || isUseless(node, now)).length);
}

const isLeaving = (machine: CloudNode | undefined): boolean => machine?.phase === 'stopping' || machine?.phase === 'gone';

/** Takes pods already: those that wait found no place there. */
const isUseful = (node: ObservedNode): boolean => node.readiness === 'ready' && node.schedulable && node.notice === null;

/** Nobody may count on it: somebody else's plans, a notice, silence, or a start that does not end. */
const isUseless = (node: ObservedNode, now: Instant): boolean =>
  node.notice !== null ||
  node.readiness === 'unknown' ||
  (!node.schedulable && !node.releasing) ||
  (node.readiness === 'not_ready' && now - node.from > NEW_MS);

/** First fit, the largest first, into nodes that are on their way and then into new ones. */
function roomFor(one: ScaledPool, pods: readonly WaitingPod[], now: Instant): Room {
  const coming = comingOf(one, now);
  const { shape } = one;
  if (shape === null) {
    // Nobody knows what the first node will have: one is asked for, and then it is known.
    return {
      placed: new Set(pods.map(({ uid }) => uid)),
      more: pods.length > 0 && coming === 0 && one.nodes.length === 0 ? 1 : 0,
      tooLarge: 0,
    };
  }
  const bins: Free[] = Array.from({ length: coming }, () => freeOf(shape));
  const placed = new Set<Id>();
  let tooLarge = 0;
  for (const pod of [...pods].sort((a, b) => sizeOf(b.requests, shape) - sizeOf(a.requests, shape))) {
    const asked = freeOf(pod.requests);
    let bin = bins.find((free) => fits(asked, free));
    if (!bin && fits(asked, freeOf(shape))) bins.push((bin = freeOf(shape)));
    if (bin) take(asked, bin);
    else tooLarge += 1;
    if (bin) placed.add(pod.uid);
  }
  return { placed, more: bins.length - coming, tooLarge };
}

interface Free {
  cpuMilli: number;
  memoryMib: number;
  gpuMilli: number;
}

const freeOf = ({ cpuMilli, memoryMib, accelerator }: NodeResources): Free => ({
  ...{ cpuMilli, memoryMib },
  gpuMilli: accelerator?.countMilli ?? 0,
});

const fits = (asked: Free, free: Free): boolean =>
  asked.cpuMilli <= free.cpuMilli && asked.memoryMib <= free.memoryMib && asked.gpuMilli <= free.gpuMilli;

function take(asked: Free, free: Free): void {
  free.cpuMilli -= asked.cpuMilli;
  free.memoryMib -= asked.memoryMib;
  free.gpuMilli -= asked.gpuMilli;
}

/** The largest part of a node that it takes. */
const sizeOf = (asked: NodeResources, shape: NodeResources): number =>
  Math.max(asked.cpuMilli / Math.max(1, shape.cpuMilli), asked.memoryMib / Math.max(1, shape.memoryMib));

interface Turn {
  readonly one: ScaledPool;
  readonly room: Room;
  /** Pods wait for this pool. */
  readonly wanted: boolean;
  readonly pace: PoolPace;
  readonly now: Instant;
}

function planPool(turn: Turn): PoolPlan {
  const { one, room, wanted } = turn;
  const poolId = one.pool.id;
  const { cloud } = one;
  if (!cloud) return { poolId, steps: [], stalled: wanted ? PROVIDER_UNKNOWN : null };
  const freed = [...carryOn(turn), ...free(turn, cloud)];
  const growth = grow(turn, cloud);
  const steps = [...freed, ...growth.steps];
  if (growth.steps.length > 0 || growth.stalled) return { poolId, steps, stalled: growth.stalled };
  const tooLarge =
    room.tooLarge > 0 ? { reason: 'TOO_LARGE', message: `${room.tooLarge} pods need more than an empty node of it has.` } : null;
  return { poolId, steps: [...steps, ...forget(one, cloud), ...shrink(turn, cloud)], stalled: tooLarge };
}

export const PROVIDER_UNKNOWN = {
  reason: 'PROVIDER_UNKNOWN',
  message: 'its provider does not answer, so that nothing is known of its machines.',
};

function grow({ one, room, pace, now }: Turn, cloud: CloudPoolState): Omit<PoolPlan, 'poolId'> {
  const { pool, scaling, refusedUntil } = one;
  const needed = Math.max(cloud.desired + room.more, scaling.minNodes);
  const to = Math.min(needed, scaling.maxNodes, cloud.desired + pace.maxStep);
  if (needed <= cloud.desired) return { steps: [], stalled: null };
  if (to <= cloud.desired)
    return {
      steps: [],
      stalled: { reason: 'MAXIMUM', message: `it has ${cloud.desired} nodes, and may have ${scaling.maxNodes}.` },
    };
  if (one.held !== null) return { steps: [], stalled: { reason: 'VELOCITY', message: one.held } };
  // Until then what its provider said last stands.
  if (refusedUntil !== null && now < refusedUntil) return { steps: [], stalled: one.refusal };
  if (isTooSoon(one, pace.stepMs, now)) return { steps: [], stalled: null };
  const reason =
    room.more > 0 ? `Pods that no node has taken need ${room.more} more.` : `It shall have at least ${scaling.minNodes}.`;
  return { steps: [{ step: { kind: 'scale', poolId: pool.id, from: cloud.desired, to, release: [] }, reason }], stalled: null };
}

/** True if its size was changed less than so long ago. */
export const isTooSoon = ({ scaling }: ScaledPool, ms: number, now: Instant): boolean =>
  scaling.scaledAt !== null && now - scaling.scaledAt < ms;

/** Nodes whose machine its provider knows to be gone: their pods have ended. */
function forget({ pool, nodes }: ScaledPool, cloud: CloudPoolState): PlannedStep[] {
  return nodes
    .filter((node) => node.readiness !== 'ready' && machineOf(node, cloud)?.phase === 'gone')
    .map(({ uid, name }) => ({
      step: { kind: 'forget', poolId: pool.id, node: { uid, name } },
      reason: `The machine of node ${name} is gone.`,
    }));
}

/** The machine of a node; undefined = its provider did not rent it for this pool. */
export const machineOf = (node: ObservedNode, cloud: CloudPoolState): CloudNode | undefined =>
  cloud.nodes.find(({ instanceId }) => instanceId === node.instanceId) ??
  cloud.nodes.find((machine) => machine.nodeName === node.name && (node.instanceId === null || isRunning(machine)));

/** What was begun is carried on: a node that is still to be marked is, and one that is gone, or that pods wait for, is let be. */
function carryOn({ one, wanted }: Turn): PlannedStep[] {
  const { pool, scaling, nodes } = one;
  const { emptying } = scaling;
  if (emptying === null) return [];
  const node = nodes.find(({ uid }) => uid === emptying);
  const done = { step: { kind: 'emptied' as const, poolId: pool.id } };
  if (!node) return [{ ...done, reason: 'The node that was being emptied is gone.' }];
  if (wanted) return [{ ...done, reason: `Pods wait: node ${node.name} is needed.` }];
  if (node.releasing) return [];
  const { uid, name } = node;
  return [{ step: { kind: 'cordon', poolId: pool.id, node: { uid, name } }, reason: `Node ${name} is being emptied.` }];
}

/** Marked nodes that work came to, or is waiting for, take pods again; not the one that is being emptied. */
function free(turn: Turn, cloud: CloudPoolState): PlannedStep[] {
  const poolId = turn.one.pool.id;
  return turn.one.nodes
    .filter((node) => node.releasing && isNeeded(node, turn) && !isLeaving(machineOf(node, cloud)))
    .filter(({ uid }) => turn.wanted || uid !== turn.one.scaling.emptying)
    .map(({ uid, name }) => ({
      step: { kind: 'uncordon', poolId, node: { uid, name } },
      reason: `Node ${name} has work again.`,
    }));
}

const isNeeded = (node: ObservedNode, { wanted }: Turn): boolean => wanted || !isIdle(node);

/** Marked nodes that are still idle are given back; then idle ones are marked, so that nothing new comes to them meanwhile. */
function shrink(turn: Turn, cloud: CloudPoolState): PlannedStep[] {
  const { one, wanted, pace, now } = turn;
  if (wanted || isTooSoon(one, pace.settleMs, now)) return [];
  const spare = Math.max(0, Math.min(cloud.desired - one.scaling.minNodes, pace.maxStep));
  const marked = one.nodes.filter((node) => node.releasing && !node.schedulable && !isNeeded(node, turn));
  const given = marked.filter((node) => isRunning(machineOf(node, cloud))).slice(0, spare);
  const idle = one.nodes.filter((node) => isSpare(node, turn) && isRunning(machineOf(node, cloud)));
  const cordoned = idle.slice(0, spare - given.length).map(({ uid, name }): PlannedStep => {
    const step = { kind: 'cordon' as const, poolId: one.pool.id, node: { uid, name } };
    return { step, reason: `Node ${name} had no work for ${Math.round(pace.idleMs / 1000)} s.` };
  });
  return [...giveBack(one, given, cloud), ...cordoned];
}

function giveBack({ pool }: ScaledPool, nodes: readonly ObservedNode[], cloud: CloudPoolState): PlannedStep[] {
  const machines = nodes.map((node) => machineOf(node, cloud)).filter(isRunning);
  if (machines.length === 0) return [];
  const to = cloud.desired - machines.length;
  const release = machines.map(({ instanceId }) => instanceId);
  const names = nodes.map(({ name }) => name).join(', ');
  return [{ step: { kind: 'scale', poolId: pool.id, from: cloud.desired, to, release }, reason: `No work for ${names}.` }];
}

/** Paid for, and not asked to go. */
export const isRunning = (machine: CloudNode | undefined): machine is CloudNode =>
  machine?.phase === 'running' || machine?.phase === 'starting';

/** Nothing is on it but what every node has. */
export const isIdle = ({ pods }: ObservedNode): boolean => pods.every(({ daemon }) => daemon);

/** Heard of, free of work for long enough, and nobody else has plans with it. */
function isSpare(node: ObservedNode, { one, pace, now }: Turn): boolean {
  const since = one.rows.find(({ id }) => id === node.uid)?.idleSince ?? null;
  const quiet = since !== null && now - since >= pace.idleMs;
  return quiet && isIdle(node) && node.readiness === 'ready' && node.schedulable && !node.releasing && node.notice === null;
}
