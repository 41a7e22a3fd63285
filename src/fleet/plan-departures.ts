import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { InventoryObservation, NodePod, ObservedNode } from './cluster-inventory.port.ts';

/** A step towards moving a pod off a node that will leave. */
export interface Departure {
  /** `release`: another one is made while it still answers. `retire`: it finishes what it has and ends; another one is made. */
  readonly kind: 'release' | 'retire';
  readonly pod: NodePod;
  readonly node: string;
  readonly reason: string;
}

export interface DeparturesPlan {
  readonly departures: readonly Departure[];
  /** Released pods whose successor is not made: what keeps it away is not known here, a quota for example. */
  readonly alone: readonly Id[];
}

/**
 * How long a released pod is kept when no successor is made. Higher: a quota that it fills itself delays the successor; lower: a busy
 * cluster has no time to make one.
 */
const ALONE_MS = 30_000;

interface Placed {
  readonly pod: NodePod;
  readonly node: ObservedNode;
}

/**
 * Which of this installation's pods leave, and how, so that no request is lost: the last one that serves stays until another one does. Nodes that
 * nobody hears of are left alone: what runs there is unknown. `alone` says since when a released pod has been without a successor.
 */
export function planDepartures(
  { nodes, waiting }: InventoryObservation,
  alone: ReadonlyMap<Id, Instant>,
  now: Instant,
): DeparturesPlan {
  const placed = nodes.flatMap((node) => node.pods.map((pod): Placed => ({ pod, node })));
  const relieved = new Set(
    placed
      .filter(isSettled)
      .filter(({ pod }) => pod.ready)
      .map(({ pod }) => pod.workloadId),
  );
  const awaited = new Set([
    ...placed.filter(isSuccessor).map(({ pod }) => pod.workloadId),
    ...waiting.map(({ workloadId }) => workloadId),
  ]);
  const leaving = placed.filter(isLeaving);
  const orphans = leaving.filter(({ pod }) => !pod.replaced && !awaited.has(pod.workloadId)).map(({ pod }) => pod.uid);
  const departures = leaving.flatMap((one): Departure[] => {
    const since = alone.get(one.pod.uid);
    const forsaken = orphans.includes(one.pod.uid) && since !== undefined && now - since >= ALONE_MS;
    const kind = stepOf(one.pod, relieved.has(one.pod.workloadId) || forsaken);
    return kind === null ? [] : [{ kind, pod: one.pod, node: one.node.name, reason: reasonOf(one) }];
  });
  return { departures, alone: orphans };
}

const isDoomed = ({ notice, releasing }: ObservedNode): boolean => notice !== null || releasing;

/** Ours, on a node that is heard of and will leave, or already taken out of its replica set. */
const isLeaving = ({ pod, node }: Placed): boolean =>
  pod.workloadId !== null && pod.endingSince === null && node.readiness !== 'unknown' && (isDoomed(node) || !pod.replaced);

/** Ours, and there is nothing in its way. */
const isSettled = ({ pod, node }: Placed): boolean => isSuccessor({ pod, node }) && node.readiness === 'ready';

const isSuccessor = ({ pod, node }: Placed): boolean =>
  pod.workloadId !== null && pod.endingSince === null && pod.replaced && !isDoomed(node);

/** Null = wait. */
function stepOf(pod: NodePod, relieved: boolean): Departure['kind'] | null {
  // One that serves nobody is in nobody's way: the next one starts at once where it can.
  if (relieved || (pod.replaced && !pod.ready)) return 'retire';
  return pod.replaced ? 'release' : null;
}

const reasonOf = ({ node }: Placed): string =>
  node.notice?.message ?? (node.releasing ? `Its node ${node.name} is given back.` : 'Another one has taken its place.');
