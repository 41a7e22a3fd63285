import type { Id } from '../kernel/id.ts';
import { DAY_MS, MINUTE_MS, minuteOf, type Instant } from '../kernel/instant.ts';
import type { CostedReplica, ReplicaProgress, Seen } from './cost-store.port.ts';
import type { NodeProgress } from './node-cost-store.port.ts';

/** A minute that not everybody has acknowledged closes anyway. Higher delays figures when a router is gone, lower restates more. */
export const CLOSE_ANYWAY_MS = 10 * MINUTE_MS;
/** What a runtime has seen is written down within this time, and nothing else is: silence means that a replica goes on as it did. Higher delays figures, lower restates more. */
const TOLD_WITHIN_MS = 15_000;
/** How long usage can still be attributed. Higher grows the inputs, lower turns a long outage into quantities without a cost. */
export const KEEP_INPUTS_MS = 62 * DAY_MS;
/** Minutes of one replica in one transaction. Higher holds its lock for long, lower needs many turns after an outage. */
const MAX_MINUTES_PER_TURN = 720;
/** The same of a node, which has many pods. */
const MAX_NODE_MINUTES_PER_TURN = 60;
/** Queued minutes of nodes taken in one run, as of replicas. */
export const MAX_NODES_RESTATED_PER_RUN = 500;
/** Queued minutes taken in one run. Higher delays the closing of new minutes, lower lets a price correction drag on. */
export const MAX_RESTATED_PER_RUN = 5_000;

export interface ClosingInput {
  readonly replicas: readonly ReplicaProgress[];
  /** What every router seen lately has acknowledged; null = none was seen. */
  readonly acknowledged: Instant | null;
  readonly queued: readonly { readonly replicaId: Id; readonly minutes: readonly Instant[] }[];
}

export interface ReplicaTurn {
  readonly replicaId: Id;
  readonly closeUntil: Instant;
  readonly restate: readonly Instant[];
}

/** Which minutes of which replicas to close or to state anew. Empty in a steady state. */
export function planClosing(input: ClosingInput, now: Instant): ReplicaTurn[] {
  const queued = new Map(input.queued.map(({ replicaId, minutes }) => [replicaId, minutes]));
  const turns = input.replicas.flatMap((replica) => {
    const closeUntil = Math.min(
      closableUntil(replica, input.acknowledged, now),
      replica.closedUntil + MAX_MINUTES_PER_TURN * MINUTE_MS,
    );
    const restate = queued.get(replica.replicaId) ?? [];
    queued.delete(replica.replicaId);
    if (closeUntil <= replica.closedUntil && restate.length === 0 && !replica.changed) return [];
    return [{ replicaId: replica.replicaId, closeUntil: Math.max(closeUntil, replica.closedUntil), restate }];
  });
  return [...turns, ...[...queued].map(([replicaId, restate]) => ({ replicaId, closeUntil: 0, restate }))];
}

/** The end of the last minute of which nothing more is expected. */
function closableUntil(replica: ReplicaProgress, acknowledged: Instant | null, now: Instant): Instant {
  const observed = replica.capacityUntil === null ? Math.max(replica.observedAt, now - TOLD_WITHIN_MS) : now;
  const told = acknowledged === null ? 0 : Math.min(acknowledged, observed, now);
  return dueUntil(told, replica.capacityUntil, now);
}

function dueUntil(told: Instant, capacityUntil: Instant | null, now: Instant): Instant {
  const due = minuteOf(Math.max(told, now - CLOSE_ANYWAY_MS));
  return capacityUntil === null ? due : Math.min(due, minuteOf(capacityUntil + MINUTE_MS - 1));
}

export interface NodeClosingInput {
  readonly nodes: readonly NodeProgress[];
  readonly acknowledged: Instant | null;
  readonly queued: readonly { readonly nodeId: Id; readonly minutes: readonly Instant[] }[];
}

export interface NodeTurn {
  readonly nodeId: Id;
  readonly closeUntil: Instant;
  readonly restate: readonly Instant[];
}

/**
 * Which minutes of which nodes to close or to state anew. A minute of a node closes as a whole: when routers and runtimes have told of its
 * replicas, and its kubelet of what its pods used.
 */
export function planNodeClosing({ nodes, acknowledged, queued }: NodeClosingInput, now: Instant): NodeTurn[] {
  const waiting = new Map(queued.map(({ nodeId, minutes }) => [nodeId, minutes]));
  const turns = nodes.flatMap((node) => {
    const sampled = node.capacityUntil === null ? node.sampledThrough : now;
    const told = acknowledged === null ? 0 : Math.min(acknowledged, sampled, now - TOLD_WITHIN_MS);
    const due = dueUntil(told, node.capacityUntil, now);
    const closeUntil = Math.max(node.closedUntil, Math.min(due, node.closedUntil + MAX_NODE_MINUTES_PER_TURN * MINUTE_MS));
    const restate = waiting.get(node.nodeId) ?? [];
    waiting.delete(node.nodeId);
    return closeUntil === node.closedUntil && restate.length === 0 && !node.changed
      ? []
      : [{ nodeId: node.nodeId, closeUntil, restate }];
  });
  return [...turns, ...[...waiting].map(([nodeId, restate]) => ({ nodeId, closeUntil: 0, restate }))];
}

/** The first instant whose cost may differ from what was booked when `seen` was all that was known; null = nothing changed. */
export function firstChange(replica: CostedReplica, seen: Seen): Instant | null {
  const changes = [
    ...replica.life.transitions.slice(seen.transitions).map(({ at }) => at),
    ...replica.pricesFrom.slice(seen.prices),
    ...endChange(replica.seen.capacityUntil, seen.capacityUntil),
  ];
  return changes.length === 0 ? null : Math.max(replica.life.capacityFrom, Math.min(...changes));
}

function endChange(now: Instant | null, before: Instant | null): Instant[] {
  if (now === before) return [];
  return [now, before].filter((at) => at !== null);
}
