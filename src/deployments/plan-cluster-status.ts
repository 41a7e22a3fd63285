import { isLost, isSilent, isUnreachable, REACHABLE, REMOVALS_HELD, SILENT, type Cluster } from '../fleet/cluster.ts';
import { withCondition, type Condition } from '../kernel/condition.ts';
import { digestOfJson } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { ClusterObservation } from './cluster.port.ts';
import type { Workload } from './replica.ts';

/** Out of sight for so long before it is said: a restart of what is asked is none. Higher: failover is late; lower: it cries wolf. */
export const UNSEEN_MS = 5_000;
/** Out of sight for so long, a person should look: silence alone moves nothing. Higher: he learns late; lower: an upgrade of a cluster calls him. */
export const SILENT_MS = 15 * MINUTE_MS;
/** Unknown workloads that are removed unasked: these many, or that part of all. Higher: an old database deletes more; lower: people are asked for leftovers. */
const FREE_REMOVALS = 3;
const FREE_PERCENT = 5;

/** What a loop knows of its cluster as such. */
export interface ClusterFacts {
  readonly cluster: Cluster;
  /** Null = it could not be seen just now. */
  readonly observation: ClusterObservation | null;
  /** Since when, and why, it cannot be seen; null = it can. */
  readonly blind: { readonly since: Instant; readonly why: string } | null;
  /** When this process saw it last. */
  readonly seenAt: Instant | null;
  /** Of this cluster, those not gone. */
  readonly workloads: readonly Workload[];
  /** The cluster said that it has seen a newer leader, while this one holds the lease: another installation's; null = not so. */
  readonly otherEpoch: number | null;
}

export interface ClusterStatusPlan {
  /** The row after this pass; null = unchanged. */
  readonly after: Cluster | null;
  /** Workloads that the cluster runs, that the database does not know, and that may go. */
  readonly removals: readonly Id[];
  /** Workloads of which the cluster knows a later generation than the database, approved to be told again, with the generation to take. */
  readonly raised: readonly Workload[];
}

/** What the pass does about the cluster itself: whether it can be seen, and what runs there unknown. */
export function planClusterStatus(facts: ClusterFacts, now: Instant): ClusterStatusPlan {
  const { cluster, observation } = facts;
  const strangers = observation ? strangersIn(facts, observation) : null;
  const reachable = nextReachable(facts, now);
  const next = strangers ? withRemovals(reachable, strangers, now) : reachable;
  const after = next === cluster ? null : { ...next, rowVersion: cluster.rowVersion + 1 };
  return { after, removals: strangers?.free ?? [], raised: strangers?.raised ?? [] };
}

function nextReachable({ cluster, observation, blind, seenAt }: ClusterFacts, now: Instant): Cluster {
  const known = cluster.conditions.find(({ type }) => type === REACHABLE)?.status;
  if (observation) {
    if (known === 'True') return cluster;
    return {
      ...withVerdict(cluster, { type: REACHABLE, status: 'True', reason: 'Seen', message: 'It can be seen.' }, now),
      observedAt: now,
    };
  }
  if (!blind || now - blind.since < UNSEEN_MS) return cluster;
  if (isUnreachable(cluster)) return withSilence(cluster, blind.why, now);
  const marked = withVerdict(cluster, { type: REACHABLE, status: 'False', reason: 'CannotBeSeen', message: blind.why }, now);
  return { ...marked, observedAt: seenAt ?? cluster.observedAt };
}

/** Once it has been out of sight for long, what a person can do about it; nothing more once he has said that it is lost. */
function withSilence(cluster: Cluster, why: string, now: Instant): Cluster {
  const since = cluster.conditions.find(({ type }) => type === REACHABLE)?.lastTransitionTime ?? now;
  if (isSilent(cluster) || isLost(cluster) || now - since < SILENT_MS) return cluster;
  const message =
    `It has not been seen for ${SILENT_MS / MINUTE_MS} minutes (${endless(why)}). What it runs is unknown and may serve: nothing of it is moved. ` +
    `Bring it back, or if it will not come back, say so: purser clusters lost ${cluster.name}`;
  return withVerdict(cluster, { type: REACHABLE, status: 'False', reason: SILENT, message }, now);
}

const endless = (sentence: string): string => sentence.replace(/[.!?]$/, '');

interface Strangers {
  /** Unknown to the database, or known to it only in an older generation. */
  readonly waiting: readonly Id[];
  readonly free: readonly Id[];
  readonly raised: readonly Workload[];
  /** Why what waits is held; null = nothing is. */
  readonly why: { readonly reason: string; readonly message: string } | null;
  readonly isApprovalUsed: boolean;
}

/** What runs there and cannot be explained by the database. */
function strangersIn({ cluster, workloads, otherEpoch }: ClusterFacts, observation: ClusterObservation): Strangers {
  const rows = new Map(workloads.map((workload) => [workload.id, workload]));
  const approved = new Set(cluster.approvedRemovals ?? []);
  const unknown = observation.workloads.filter(({ workloadId }) => !rows.has(workloadId)).map(({ workloadId }) => workloadId);
  const ahead = observation.workloads.filter(
    ({ workloadId, generation }) => generation > (rows.get(workloadId)?.generation ?? Infinity),
  );
  const waiting = unknown.filter((id) => !approved.has(id));
  const behind = ahead.filter(({ workloadId }) => !approved.has(workloadId)).map(({ workloadId }) => workloadId);
  const limit = Math.max(FREE_REMOVALS, Math.floor((observation.workloads.length * FREE_PERCENT) / 100));
  const why = heldBecause({ waiting, behind, limit, otherEpoch });
  const raised = ahead.flatMap(({ workloadId, generation }) => {
    const row = rows.get(workloadId);
    return row && approved.has(workloadId) ? [{ ...row, generation: generation + 1 }] : [];
  });
  return {
    waiting: [...waiting, ...behind].sort(),
    free: why ? unknown.filter((id) => approved.has(id)) : unknown,
    raised,
    why,
    isApprovalUsed: approved.size > 0 && !unknown.some((id) => approved.has(id)) && raised.length === 0,
  };
}

interface Found {
  readonly waiting: readonly Id[];
  readonly behind: readonly Id[];
  readonly limit: number;
  readonly otherEpoch: number | null;
}

function heldBecause({ waiting, behind, limit, otherEpoch }: Found): Strangers['why'] {
  if (otherEpoch !== null) {
    const message =
      'It obeys a newer leader that this database does not know: another installation uses it under the same prefix.';
    return { reason: 'LedByAnother', message };
  }
  if (behind.length > 0) {
    const message = `It knows later generations of ${behind.length} workloads than the database, which may be an old copy; ${waiting.length} more it does not know at all.`;
    return { reason: 'DatabaseBehind', message };
  }
  if (waiting.length <= limit) return null;
  const message = `It runs ${waiting.length} workloads that the database does not know; up to ${limit} are removed unasked.`;
  return { reason: 'TooManyUnknown', message };
}

function withRemovals(cluster: Cluster, { waiting, why, isApprovalUsed }: Strangers, now: Instant): Cluster {
  const settled = isApprovalUsed ? { ...cluster, approvedRemovals: null } : cluster;
  if (why) {
    const digest = digestOfJson(waiting.map((id) => id));
    const isSame = settled.heldRemovals?.digest === digest;
    const marked = withVerdict(settled, { type: REMOVALS_HELD, status: 'True', ...why }, now);
    return isSame ? marked : { ...marked, heldRemovals: { digest, workloadIds: waiting } };
  }
  const released = settled.heldRemovals === null ? settled : { ...settled, heldRemovals: null };
  const isMarked = released.conditions.some(({ type, status }) => type === REMOVALS_HELD && status === 'True');
  return isMarked ? withVerdict(released, { ...NOTHING_HELD, type: REMOVALS_HELD, status: 'False' }, now) : released;
}

const NOTHING_HELD = { reason: 'NothingHeld', message: 'Nothing is held back.' };

/** The same row if it says so already. */
function withVerdict(cluster: Cluster, verdict: Omit<Condition, 'lastTransitionTime'>, lastTransitionTime: Instant): Cluster {
  const { type, status, reason, message } = verdict;
  const before = cluster.conditions.find((condition) => condition.type === type);
  if (before?.status === status && before.reason === reason && before.message === message) return cluster;
  return { ...cluster, conditions: withCondition(cluster.conditions, { ...verdict, lastTransitionTime }) };
}
