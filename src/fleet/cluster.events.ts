import type { Cause, EventDraft, Json, Severity } from '../kernel/event.ts';
import { isLost, type Cluster } from './cluster.ts';

export interface ClusterChange extends Cause {
  readonly before: Cluster | null;
  readonly after: Cluster;
}

export const clusterRegistered = (change: ClusterChange): EventDraft =>
  draft(change, 'cluster.registered', `Cluster ${change.after.name} (${change.after.kind}) was registered.`);

export const clusterCordoned = (change: ClusterChange): EventDraft =>
  change.after.cordoned
    ? draft(change, 'cluster.cordoned', `Cluster ${change.after.name} takes nothing new.`)
    : draft(change, 'cluster.uncordoned', `Cluster ${change.after.name} takes replicas again.`);

/** Somebody changed how it is reached, what it is told, or its pools. */
export const clusterUpdated = (change: ClusterChange, parts: readonly string[]): EventDraft =>
  draft(change, 'cluster.updated', `Cluster ${change.after.name} was changed: ${parts.join(', ')}.`);

/** The data folder has moved to another machine, which reconciles the local cluster from now on. */
export const clusterMoved = (change: ClusterChange): EventDraft =>
  draft(change, 'cluster.moved', `Cluster ${change.after.name} is on another machine now.`);

export const clusterRemoved = (change: ClusterChange): EventDraft =>
  draft(change, 'cluster.removed', `Cluster ${change.after.name} was removed: nothing is asked of it any more.`);

/** It can no longer be seen; what it runs is unknown, and is left alone. */
export const clusterUnreachable = (change: ClusterChange, why: string): EventDraft =>
  draft(change, 'cluster.unreachable', `Cluster ${change.after.name} cannot be seen: ${why}`, 'error');

/** It has been out of sight for long: a person must say whether it is lost, because silence does not. */
export const clusterSilent = (change: ClusterChange, what: string): EventDraft =>
  draft(change, 'cluster.silent', `Cluster ${change.after.name}: ${what}`, 'error');

export const clusterReachable = (change: ClusterChange): EventDraft =>
  draft(change, 'cluster.reachable', `Cluster ${change.after.name} is seen again.`);

/** An operator knows more than silence says. */
export const clusterLost = (change: ClusterChange): EventDraft =>
  isLost(change.after)
    ? draft(
        change,
        'cluster.lost',
        `Cluster ${change.after.name} will not come back: what is wished there goes elsewhere.`,
        'error',
      )
    : draft(change, 'cluster.found', `Cluster ${change.after.name} is back and takes replicas again.`);

/** So much there is unknown to the database that its removal waits for a person. */
export const removalsHeld = (change: ClusterChange, why: string): EventDraft =>
  draft(change, 'cluster.removals_held', `Cluster ${change.after.name}: ${why}`, 'error');

export const removalsApproved = (change: ClusterChange): EventDraft =>
  draft(
    change,
    'cluster.removals_approved',
    `Cluster ${change.after.name}: what the database does not know there is removed, as approved.`,
  );

/** Everything wished there is told again. */
export const clusterRebuilding = (change: ClusterChange): EventDraft =>
  draft(change, 'cluster.rebuild_started', `Cluster ${change.after.name} is told everything again.`);

const draft = (
  { before, after, at, principal }: ClusterChange,
  type: string,
  message: string,
  severity: Severity = 'info',
): EventDraft => ({
  type,
  subjectKind: 'Cluster',
  subjectId: after.id,
  subjectVersion: after.rowVersion,
  teamId: null,
  projectId: null,
  deploymentId: null,
  severity,
  at,
  principal,
  message,
  before: before && snapshot(before),
  after: snapshot(after),
});

const snapshot = ({ heldRemovals: held, ...cluster }: Cluster): Json => {
  const {
    name,
    kind,
    machineId,
    config,
    cordoned,
    conditions,
    rebuilds,
    removedAt,
    capacitySources = [],
    lostAt = null,
  } = cluster;
  const heldRemovals = held && { digest: held.digest, count: held.workloadIds.length };
  const facts = {
    ...{ name, kind, machineId, config, cordoned, conditions, heldRemovals, rebuilds, removedAt },
    ...(capacitySources.length > 0 ? { capacitySources } : {}),
    ...(lostAt === null ? {} : { lostAt }),
  };
  return JSON.parse(JSON.stringify(facts)) as Json;
};
