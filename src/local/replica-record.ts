import type { ObservedReplica, ReplicaState, ReplicaTransition, WorkloadSpec } from '../deployments/cluster.port.ts';
import type { Id } from '../kernel/id.ts';
import { HOUR_MS, type Instant } from '../kernel/instant.ts';

/** A process of a replica: pid and start time name it among the living, the nonce in its environment proves that it is ours. */
export interface ReplicaProcess {
  readonly nonce: string;
  /** Null between the decision to spawn and the spawn: a successor then looks for the nonce. */
  readonly pid: number | null;
  readonly startedAt: string;
  readonly spawnedAt: Instant;
}

/** Everything about one replica that must survive the runtime; written to disk at every change. */
export interface ReplicaRecord {
  readonly replicaId: Id;
  readonly spec: WorkloadSpec;
  readonly process: ReplicaProcess | null;
  readonly port: number | null;
  readonly capacityFrom: Instant;
  readonly capacityUntil: Instant | null;
  readonly untilEstimated: boolean;
  readonly transitions: readonly ReplicaTransition[];
  readonly restarts: number;
  /** Failures in a row since it last served for a while. */
  readonly failures: number;
  /** When the present attempt to become ready began. */
  readonly attemptFrom: Instant;
  /** When the next start is due; null while a process runs or the slot is given up. */
  readonly startAt: Instant | null;
  /** When SIGTERM is due, and when SIGKILL is; null while it is not draining. */
  readonly drain: { readonly termAt: Instant; readonly killAt: Instant; readonly terminated: boolean } | null;
  readonly message: string;
}

/** Failures in a row after which a replica counts as failing. Lower: one slow start rolls a rollout back; higher: a broken one is noticed late. */
const FAILING_AFTER = 3;
/** Serving this long ends a row of failures. Lower: one that crashes soon after it is ready starts again without a pause; higher: an old crash slows the next start. */
const HEALTHY_MS = 30_000;
/** States after which a replica is replaced: one that comes and goes for hours. Higher: a longer history in each observation; lower: more ids. */
const MAX_TRANSITIONS = 500;
/** How long a given-up replica stays in observations; the port promises an hour. */
const KEEP_MS = 2 * HOUR_MS;
/** From the notice that it drains until SIGTERM, so that routers have heard of it. Lower: more retries; higher: slower scale-down. */
const DRAIN_NOTICE_MS = 1_000;

export const newRecord = (replicaId: Id, spec: WorkloadSpec, now: Instant): ReplicaRecord => ({
  replicaId,
  spec,
  process: null,
  port: null,
  capacityFrom: now,
  capacityUntil: null,
  untilEstimated: false,
  transitions: [{ at: now, state: 'starting', estimated: false }],
  restarts: 0,
  failures: 0,
  attemptFrom: now,
  startAt: now,
  drain: null,
  message: '',
});

export const stateOf = (record: ReplicaRecord): ReplicaState => record.transitions.at(-1)?.state ?? 'starting';

export const isHeld = (record: ReplicaRecord): boolean => record.capacityUntil === null;

/** Held and not on its way out: what counts towards the wish. */
export const isWanted = (record: ReplicaRecord): boolean => isHeld(record) && record.drain === null;

/** Adds a transition unless the state is the same; time never runs backwards in a history. */
export function enter(record: ReplicaRecord, state: ReplicaState, at: Instant, estimated = false): ReplicaRecord {
  const last = record.transitions.at(-1);
  if (last?.state === state) return record;
  const transition = { at: Math.max(at, last?.at ?? at), state, estimated };
  return { ...record, transitions: [...record.transitions, transition] };
}

export const becomeReady = (record: ReplicaRecord, at: Instant, estimated = false): ReplicaRecord => ({
  ...enter(record, 'serving', at, estimated),
  message: '',
});

/** It served and does not now; a replica that never was ready is still starting, one that drains still drains. */
export function becomeUnready(record: ReplicaRecord, at: Instant, message: string, estimated = false): ReplicaRecord {
  const next = { ...record, message };
  return stateOf(record) === 'serving' ? enter({ ...next, failures: failuresBy(record, at) }, 'unready', at, estimated) : next;
}

/** Failures in a row at an instant: none once it has served for long enough. */
export function failuresBy(record: ReplicaRecord, at: Instant): number {
  const servedMs = stateOf(record) === 'serving' ? at - (record.transitions.at(-1)?.at ?? at) : 0;
  return servedMs >= HEALTHY_MS ? 0 : record.failures;
}

/** So many states that it should make room for another. */
export const isSpent = (record: ReplicaRecord): boolean => isWanted(record) && record.transitions.length >= MAX_TRANSITIONS;

export interface Failed {
  readonly at: Instant;
  readonly estimated: boolean;
  /** When it is tried again. */
  readonly startAt: Instant;
  readonly message: string;
  /** It had all its readiness time and did not get ready: that alone makes it failing. */
  readonly timedOut: boolean;
}

/** Its process ended, or could not be started, though nobody asked for it. */
export function afterFailure(record: ReplicaRecord, exit: Failed): ReplicaRecord {
  const failures = failuresBy(record, exit.at) + 1;
  return {
    ...becomeUnready(record, exit.at, exit.message, exit.estimated),
    process: null,
    port: null,
    restarts: record.restarts + 1,
    failures: exit.timedOut ? Math.max(FAILING_AFTER, failures) : failures,
    startAt: exit.startAt,
  };
}

export function startDraining(record: ReplicaRecord, now: Instant): ReplicaRecord {
  if (!isWanted(record)) return record;
  const termAt = stateOf(record) === 'serving' ? now + DRAIN_NOTICE_MS : now;
  const drain = { termAt, killAt: termAt + record.spec.drainTimeoutMs, terminated: false };
  return { ...enter(record, 'draining', now), startAt: null, drain, message: '' };
}

/** The slot is given up. */
export const giveUp = (record: ReplicaRecord, at: Instant, estimated: boolean): ReplicaRecord => ({
  ...record,
  process: null,
  port: null,
  startAt: null,
  capacityUntil: Math.max(at, record.transitions.at(-1)?.at ?? at),
  untilEstimated: estimated,
});

export const isForgettable = (record: ReplicaRecord, now: Instant): boolean =>
  record.capacityUntil !== null && record.capacityUntil + KEEP_MS < now;

const hasTimedOut = (record: ReplicaRecord, now: Instant): boolean =>
  stateOf(record) === 'starting' && now - record.attemptFrom > record.spec.readinessTimeoutMs;

/** Which of a workload's replicas go when there are more than wanted: those not serving first, then the youngest. */
export function surplus(records: readonly ReplicaRecord[], wanted: number): readonly ReplicaRecord[] {
  const kept = records.filter(isWanted);
  const order = [...kept].sort(
    (a, b) => rank(a) - rank(b) || b.capacityFrom - a.capacityFrom || (a.replicaId < b.replicaId ? 1 : -1),
  );
  return order.slice(0, Math.max(0, kept.length - wanted));
}

const rank = (record: ReplicaRecord): number => (stateOf(record) === 'serving' ? 1 : 0);

export function observed(record: ReplicaRecord, now: Instant): ObservedReplica {
  const state = stateOf(record);
  return {
    replicaId: record.replicaId,
    workloadId: record.spec.workloadId,
    revisionId: record.spec.revisionId,
    state,
    address: record.port === null ? null : `127.0.0.1:${record.port}`,
    capacityFrom: record.capacityFrom,
    capacityUntil: record.capacityUntil,
    untilEstimated: record.untilEstimated,
    transitions: record.transitions,
    restarts: record.restarts,
    message: record.message,
    failing: (record.failures >= FAILING_AFTER && state !== 'serving') || (isWanted(record) && hasTimedOut(record, now)),
  };
}
