import type { ReplicaState, ReplicaTransition } from '../../deployments/cluster.port.ts';
import type { Id } from '../../kernel/id.ts';
import { HOUR_MS, type Instant } from '../../kernel/instant.ts';
import type { Pod } from '../api/objects.ts';
import { instantOf } from '../nodes/node-state.ts';
import { conditionOf, isReady } from './pod-trouble.ts';

/** The life of one pod as a replica: what its object does not tell any more once it has moved on, or is gone. */
export interface ReplicaRecord {
  readonly replicaId: Id;
  readonly workloadId: Id;
  readonly revisionId: Id;
  readonly namespace: string;
  readonly name: string;
  readonly capacityFrom: Instant;
  readonly capacityUntil: Instant | null;
  readonly untilEstimated: boolean;
  readonly transitions: readonly ReplicaTransition[];
  readonly restarts: number;
  /** Where it could be reached; null until it was ready for the first time. */
  readonly address: string | null;
  /** Why it ended; empty while it is held. */
  readonly endMessage: string;
}

/** What is known of a pod beside its object. */
export interface PodView {
  readonly workloadId: Id;
  readonly revisionId: Id;
  /** Its endpoint is ready: requests sent to it arrive. */
  readonly endpointReady: boolean;
  /** Its node will leave and others take over. */
  readonly leaving: boolean;
  /** Its node has not been heard of. */
  readonly unheard: boolean;
  /** True if this was told as it happened; false if it was found, and may have happened earlier. */
  readonly watched: boolean;
  readonly port: number;
  /** When its KubernetesDeployment was taken over; null = it is of our own making. What it did before is none of ours. */
  readonly adoptedAt: Instant | null;
  readonly now: Instant;
}

/** Kubernetes writes whole seconds: of what is this fresh our own clock says better when. */
const FRESH_MS = 2_500;
/** How long a given-up replica stays in observations; the port promises an hour. */
const KEEP_MS = 2 * HOUR_MS;

/** The record after a look at the pod; null while it has no node: until then it costs nothing and is no replica. */
export function follow(record: ReplicaRecord | null, pod: Pod, view: PodView): ReplicaRecord | null {
  const known = (isTakenAgain(record, view) ? null : record) ?? discover(pod, view);
  if (!known || known.capacityUntil !== null) return known;
  const restarts = restartsOf(pod);
  const seen = enter(restarts === known.restarts ? known : { ...known, restarts }, pod, view);
  return hasEnded(pod) ? giveUp(seen, endOf(pod, view)) : seen;
}

/** Let go, and taken over once more. */
const isTakenAgain = (record: ReplicaRecord | null, { adoptedAt }: PodView): boolean =>
  record !== null && record.capacityUntil !== null && adoptedAt !== null && adoptedAt > record.capacityUntil;

const hasEnded = ({ status }: Pod): boolean => status?.phase === 'Failed' || status?.phase === 'Succeeded';

const restartsOf = ({ status }: Pod): number =>
  (status?.containerStatuses ?? []).reduce((all, { restartCount }) => all + restartCount, 0);

export interface End {
  readonly at: Instant;
  readonly estimated: boolean;
}

/** The slot is given up; a second end changes nothing. */
export function giveUp(record: ReplicaRecord, { at, estimated }: End): ReplicaRecord {
  if (record.capacityUntil !== null) return record;
  const last = record.transitions.at(-1)?.at ?? record.capacityFrom;
  return { ...record, capacityUntil: Math.max(at, last), untilEstimated: estimated };
}

export const stateOf = (record: ReplicaRecord): ReplicaState => record.transitions.at(-1)?.state ?? 'starting';

export const isForgettable = (record: ReplicaRecord, now: Instant): boolean =>
  record.capacityUntil !== null && record.capacityUntil + KEEP_MS < now;

function discover(pod: Pod, { workloadId, revisionId, watched, adoptedAt, now }: PodView): ReplicaRecord | null {
  const scheduled = conditionOf(pod, 'PodScheduled');
  if (pod.spec?.nodeName === undefined) return null;
  const bound = instantOf(scheduled?.lastTransitionTime) ?? instantOf(pod.metadata.creationTimestamp) ?? now;
  const capacityFrom = Math.max(bound, adoptedAt ?? bound);
  return {
    replicaId: pod.metadata.uid,
    workloadId,
    revisionId,
    namespace: pod.metadata.namespace ?? '',
    name: pod.metadata.name,
    capacityFrom,
    capacityUntil: null,
    untilEstimated: false,
    transitions: [{ at: capacityFrom, state: 'starting', estimated: !watched && !isFresh(capacityFrom, now) }],
    restarts: 0,
    address: null,
    endMessage: '',
  };
}

function enter(record: ReplicaRecord, pod: Pod, view: PodView): ReplicaRecord {
  const before = stateOf(record);
  const state = stateIn(before, pod, view);
  if (state === before) return record;
  const { at, estimated } = dated(changedAt(state, pod), view);
  const last = record.transitions.at(-1)?.at ?? record.capacityFrom;
  const transition = { at: Math.max(at, last), state, estimated };
  const { podIP } = pod.status ?? {};
  const address = state === 'serving' && podIP !== undefined ? `${bracketed(podIP)}:${view.port}` : record.address;
  return { ...record, address, transitions: [...record.transitions, transition] };
}

function stateIn(before: ReplicaState, pod: Pod, { endpointReady, leaving, unheard }: PodView): ReplicaState {
  if (pod.metadata.deletionTimestamp !== undefined || leaving) return 'draining';
  if (isReady(pod) && endpointReady && !unheard) return 'serving';
  if (before !== 'starting') return 'unready';
  return wasReady(pod) ? 'unready' : 'starting';
}

/** A pod is unready from its first second on; one that became so later had been ready before. */
function wasReady(pod: Pod): boolean {
  const ready = conditionOf(pod, 'Ready');
  const initialized = instantOf(conditionOf(pod, 'Initialized')?.lastTransitionTime);
  const since = instantOf(ready?.lastTransitionTime);
  return ready?.status === 'False' && since !== null && initialized !== null && since - initialized > FRESH_MS;
}

/** When the pod's own object says that it came to this state; null = it does not. */
function changedAt(state: ReplicaState, pod: Pod): Instant | null {
  const ready = conditionOf(pod, 'Ready');
  if (state !== 'draining')
    return (ready?.status === 'True') === (state === 'serving') ? instantOf(ready?.lastTransitionTime) : null;
  const until = instantOf(pod.metadata.deletionTimestamp);
  return until === null ? null : until - (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1000;
}

function endOf(pod: Pod, view: PodView): End {
  const ends = (pod.status?.containerStatuses ?? []).map(({ state }) => instantOf(state?.terminated?.finishedAt) ?? 0);
  const disrupted = instantOf(conditionOf(pod, 'DisruptionTarget')?.lastTransitionTime) ?? 0;
  const at = Math.max(disrupted, ...ends);
  return dated(at === 0 ? null : at, view);
}

function dated(told: Instant | null, { watched, adoptedAt, now }: PodView): End {
  if (watched) return { at: now, estimated: false };
  // What it was before it was taken over it was at that moment, too.
  if (told !== null && adoptedAt !== null && told <= adoptedAt) return { at: adoptedAt, estimated: false };
  return told === null || isFresh(told, now) ? { at: now, estimated: told === null } : { at: told, estimated: true };
}

const bracketed = (ip: string): string => (ip.includes(':') ? `[${ip}]` : ip);

const isFresh = (at: Instant, now: Instant): boolean => Math.abs(now - at) <= FRESH_MS;
