import type { CloudPoolState } from '../clouds/cloud-provider.port.ts';
import type { Id } from '../kernel/id.ts';
import { HOUR_MS, MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { PicoUsd } from '../kernel/money.ts';
import { isWorthIt, WORTH_IT, type RateStep, type WorthItVerdict } from '../pricing/worth-it.ts';
import type { InventoryObservation, NodePod, NodeResources, ObservedNode } from './cluster-inventory.port.ts';
import { isIdle, isRunning, isTooSoon, machineOf, type Consolidation, type PoolPace, type ScaledPool } from './plan-pools.ts';

export interface ConsolidationWorld {
  readonly pools: readonly ScaledPool[];
  readonly observation: InventoryObservation;
  /** By pool: what a node of it has cost, as change points. */
  readonly history: ReadonlyMap<Id, readonly RateStep[]>;
}

/** Both sides of a move are paid for so long. Higher: less is moved; lower: slow starts make moving dearer than was thought. */
const BOTH_MS = 10 * MINUTE_MS;
/** A node that was given up is needed again after all, so dear is the mistake: an hour of it. Higher and lower likewise. */
const MISTAKE_MS = HOUR_MS;
/** Of a cluster's nodes, those that may be on their way out at a time: one in ten, at least one. Higher: less room for what fails meanwhile. */
const LEAVING_SHARE = 0.1;

/**
 * At most one node per pool to be emptied into the free room of others of its pool: the one with the least on it. Only where everybody has a place,
 * nothing else moves, every workload on it serves in full, all that is on it may be moved, and it is worth it.
 */
export function planConsolidation(world: ConsolidationWorld, pace: PoolPace, now: Instant): Consolidation[] {
  const { pools, observation } = world;
  if (observation.waiting.length > 0) return [];
  let underWay = observation.nodes.filter(({ releasing, notice }) => releasing || notice !== null).length;
  return pools.flatMap((one) => {
    if (!isSettled(one, pace, now)) return [];
    const found = one.cloud && candidates(one, one.cloud, observation).find(({ moves }) => moves !== null);
    if (!found?.moves) return [];
    const verdict = verdictOn(found.node, { world, one, underWay }, now);
    if (!verdict.worth) return [];
    underWay += 1;
    const { uid, name } = found.node;
    return [{ poolId: one.pool.id, node: { uid, name }, moves: found.moves, verdict }];
  });
}

/** Neither growing nor shrinking, and with a node more than it must have. */
const isSettled = (one: ScaledPool, pace: PoolPace, now: Instant): boolean =>
  one.scaling.emptying === null &&
  !isTooSoon(one, pace.settleMs, now) &&
  one.cloud !== null &&
  one.cloud.desired > one.scaling.minNodes &&
  one.nodes.every(({ releasing }) => !releasing);

interface Candidate {
  readonly node: ObservedNode;
  readonly moves: Consolidation['moves'] | null;
}

/** The emptiest first. */
function candidates({ nodes }: ScaledPool, cloud: CloudPoolState, observation: InventoryObservation): Candidate[] {
  const open = nodes.filter((node) => isOpen(node) && isRunning(machineOf(node, cloud)));
  const whole = wholeWorkloads(observation);
  return open
    .filter((node) => !isIdle(node) && node.pods.every((pod) => pod.daemon || isMovable(pod, whole)))
    .sort((a, b) => usedShare(a) - usedShare(b) || (a.name < b.name ? -1 : 1))
    .map((node) => ({
      node,
      moves: movesFrom(
        node,
        open.filter((other) => other !== node),
      ),
    }));
}

const isOpen = (node: ObservedNode): boolean =>
  node.readiness === 'ready' && node.schedulable && node.notice === null && !node.releasing;

/** Pods of others, and those that nothing would make again, are left alone. */
const isMovable = ({ workloadId, replaced, endingSince }: NodePod, whole: ReadonlySet<Id>): boolean =>
  workloadId !== null && replaced && endingSince === null && whole.has(workloadId);

/** Workloads of which every pod serves, none is on its way out, and none is on a node that is. */
function wholeWorkloads({ nodes }: InventoryObservation): ReadonlySet<Id> {
  const placed = nodes.flatMap((node) => node.pods.map((pod) => ({ pod, node })));
  const broken = placed.filter(({ pod, node }) => !pod.ready || pod.endingSince !== null || !pod.replaced || !isOpen(node));
  const not = new Set(broken.map(({ pod }) => pod.workloadId));
  return new Set(placed.flatMap(({ pod }) => (pod.workloadId !== null && !not.has(pod.workloadId) ? [pod.workloadId] : [])));
}

/** First fit, the largest first; null = somebody has no place. */
function movesFrom(node: ObservedNode, others: readonly ObservedNode[]): Consolidation['moves'] | null {
  const rooms = others.map((other) => ({ name: other.name, free: freeOn(other) }));
  const pods = node.pods.filter(({ daemon }) => !daemon).sort((a, b) => b.requests.cpuMilli - a.requests.cpuMilli);
  const moves: { pod: string; to: string }[] = [];
  for (const { name, requests } of pods) {
    const room = rooms.find(({ free }) => fits(requests, free));
    if (!room) return null;
    room.free = less(room.free, requests);
    moves.push({ pod: name, to: room.name });
  }
  return moves;
}

interface Free {
  readonly cpuMilli: number;
  readonly memoryMib: number;
  readonly gpuMilli: number;
}

const sizeOf = ({ cpuMilli, memoryMib, accelerator }: NodeResources): Free => ({
  ...{ cpuMilli, memoryMib },
  gpuMilli: accelerator?.countMilli ?? 0,
});

const freeOn = ({ allocatable, pods }: ObservedNode): Free =>
  pods.reduce((free, { requests }) => less(free, requests), sizeOf(allocatable));

function less(free: Free, asked: NodeResources): Free {
  const { cpuMilli, memoryMib, gpuMilli } = sizeOf(asked);
  return { cpuMilli: free.cpuMilli - cpuMilli, memoryMib: free.memoryMib - memoryMib, gpuMilli: free.gpuMilli - gpuMilli };
}

const fits = (asked: NodeResources, free: Free): boolean => {
  const left = less(free, asked);
  return left.cpuMilli >= 0 && left.memoryMib >= 0 && left.gpuMilli >= 0;
};

function usedShare(node: ObservedNode): number {
  const [all, free] = [sizeOf(node.allocatable), freeOn(node)];
  return Math.max(1 - free.cpuMilli / Math.max(1, all.cpuMilli), 1 - free.memoryMib / Math.max(1, all.memoryMib));
}

/** What the node itself says that it costs wins over the price book. */
function verdictOn(
  node: ObservedNode,
  { world, one, underWay }: { readonly world: ConsolidationWorld; readonly one: ScaledPool; readonly underWay: number },
  now: Instant,
): WorthItVerdict {
  const { pricePerHour } = node;
  const paid = pricePerHour === null ? (world.history.get(one.pool.id) ?? []) : [{ from: node.from, rate: pricePerHour }];
  const rate = paid.at(-1)?.rate ?? 0n;
  const during = (ms: number): PicoUsd => (rate * BigInt(ms)) / BigInt(HOUR_MS);
  const act = {
    now: paid,
    then: [{ from: 0, rate: 0n }],
    costs: { move: 0n, coldStart: during(BOTH_MS), risk: during(MISTAKE_MS) },
    lastAt: one.scaling.emptiedAt,
    disruption: { underWay, allowed: Math.max(1, Math.floor(world.observation.nodes.length * LEAVING_SHARE)) },
  };
  return isWorthIt(act, { ...WORTH_IT, cooldownMs: COOLDOWN_MS }, now);
}

/** Between two nodes of one pool that are emptied. Higher: half-empty nodes are paid for; lower: the same replicas are moved again and again. */
const COOLDOWN_MS = HOUR_MS;
