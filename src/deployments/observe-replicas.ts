import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { ClusterObservation, ObservedReplica, ReplicaState, ReplicaTransition } from './cluster.port.ts';
import { isHeld, type Replica, type Workload } from './replica.ts';

/** A transition to be appended; `n` counts from 0. */
export interface AppendedTransition extends ReplicaTransition {
  readonly replicaId: Id;
  readonly n: number;
}

/** What an observation changes about one replica. */
export interface ReplicaChange {
  /** Null = it was not known before. */
  readonly before: Replica | null;
  readonly after: Replica;
  readonly appended: readonly AppendedTransition[];
}

export interface ObservationInput {
  /** Null = the cluster could not be seen. */
  readonly observation: ClusterObservation | null;
  /** Replicas of this cluster that hold a slot or gave it up within the last hours. */
  readonly known: readonly Replica[];
  readonly workloads: ReadonlyMap<Id, Workload>;
  /** When this cluster was last seen by this process, before this observation; null = not yet. */
  readonly seenAt: Instant | null;
}

/**
 * What the rows must become. Nothing where nothing changed, so that a steady state writes nothing; nothing at all without an
 * observation: unknown keeps the last state. Replicas of workloads that the database does not know are left alone.
 */
export function observeReplicas({ observation, known, workloads, seenAt }: ObservationInput): ReplicaChange[] {
  if (!observation) return [];
  const rows = new Map(known.map((replica) => [replica.id, replica]));
  const seen = new Set(observation.replicas.map((replica) => replica.replicaId));
  const changes = observation.replicas.flatMap((observed) => {
    const before = rows.get(observed.replicaId) ?? null;
    const workload = workloads.get(observed.workloadId);
    if (before) return update(before, observed, observation.observedAt);
    return workload ? [discover(workload, observed, observation.observedAt)] : [];
  });
  const lost = known.filter((replica) => isHeld(replica) && !seen.has(replica.id));
  return [...changes, ...lost.map((replica) => lose(replica, seenAt))];
}

function discover(workload: Workload, observed: ObservedReplica, now: Instant): ReplicaChange {
  const { id, teamId, projectId, deploymentId, revisionId, clusterId, offeringId } = workload;
  const blank = { teamId, projectId, deploymentId, revisionId, workloadId: id, clusterId, offeringId };
  const none: Replica = {
    ...blank,
    ...facts(observed),
    id: observed.replicaId,
    capacityFrom: observed.capacityFrom,
    observedAt: now,
    lastEvidenceAt: now,
    transitions: 0,
    stateSince: observed.capacityFrom,
  };
  const appended = missing(none, observed, now);
  return { before: null, after: withTransitions(none, appended), appended };
}

function update(before: Replica, observed: ObservedReplica, now: Instant): ReplicaChange[] {
  if (!isHeld(before)) return [];
  const appended = missing(before, observed, now);
  const until = observed.capacityUntil === null ? null : Math.max(observed.capacityUntil, before.stateSince, before.capacityFrom);
  const next = { ...before, ...facts(observed), capacityUntil: until };
  if (appended.length === 0 && sameFacts(before, next)) return [];
  const after = withTransitions({ ...next, observedAt: now, lastEvidenceAt: now }, appended);
  const last = until === null ? until : Math.max(until, after.stateSince);
  return [{ before, after: { ...after, capacityUntil: last }, appended }];
}

/** A complete observation without it: its slot is given up and nobody saw when. */
function lose(before: Replica, seenAt: Instant | null): ReplicaChange {
  const evidence = Math.max(before.lastEvidenceAt, seenAt ?? 0, before.stateSince, before.capacityFrom);
  const after = {
    ...before,
    capacityUntil: evidence,
    untilEstimated: true,
    address: null,
    message: 'Its cluster no longer knows it.',
  };
  return { before, after, appended: [] };
}

const facts = (observed: ObservedReplica) => ({
  state: observed.state,
  address: observed.address,
  capacityUntil: observed.capacityUntil,
  untilEstimated: observed.untilEstimated,
  restarts: observed.restarts,
  message: observed.message,
});

const sameFacts = (a: Replica, b: Replica): boolean =>
  a.state === b.state &&
  a.address === b.address &&
  a.capacityUntil === b.capacityUntil &&
  a.restarts === b.restarts &&
  a.message === b.message;

/** Transitions that are not stored yet, each clamped to be no earlier than the one before it. */
function missing(before: Replica, observed: ObservedReplica, now: Instant): AppendedTransition[] {
  const news = newsOf(before, observed);
  const forgotten = news.length === 0 && before.transitions > 0 && observed.state !== before.state;
  const source = forgotten ? [{ at: now, state: observed.state, estimated: true }] : news;
  const appended: AppendedTransition[] = [];
  let last = Math.max(before.stateSince, before.capacityFrom);
  for (const transition of source) {
    last = Math.max(last, transition.at);
    const estimated = transition.estimated || last !== transition.at;
    appended.push({
      replicaId: observed.replicaId,
      n: before.transitions + appended.length,
      at: last,
      state: transition.state,
      estimated,
    });
  }
  return appended;
}

/** What is behind the last one that is stored; a cluster whose watcher was started anew tells a shorter history: then what is later. */
function newsOf({ transitions: stored, stateSince }: Replica, { transitions }: ObservedReplica): readonly ReplicaTransition[] {
  const last = transitions[stored - 1];
  const isWhole = stored === 0 || (last !== undefined && last.at <= stateSince);
  return isWhole ? transitions.slice(stored) : transitions.filter(({ at }) => at > stateSince);
}

function withTransitions(replica: Replica, appended: readonly AppendedTransition[]): Replica {
  const last = appended.at(-1);
  return last
    ? { ...replica, transitions: replica.transitions + appended.length, stateSince: last.at, state: last.state }
    : replica;
}

/** The state that people and routers see; a given-up slot serves nobody. */
export const isServing = (replica: Pick<Replica, 'state' | 'capacityUntil'>): boolean =>
  isHeld(replica) && replica.state === ('serving' satisfies ReplicaState);
