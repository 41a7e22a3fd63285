import type { Cause, EventDraft, Json } from '../kernel/event.ts';
import type { Cluster } from './cluster.ts';

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

/** The data folder has moved to another machine, which reconciles the local cluster from now on. */
export const clusterMoved = (change: ClusterChange): EventDraft =>
  draft(change, 'cluster.moved', `Cluster ${change.after.name} is on another machine now.`);

const draft = ({ before, after, at, principal }: ClusterChange, type: string, message: string): EventDraft => ({
  type,
  subjectKind: 'Cluster',
  subjectId: after.id,
  subjectVersion: after.version,
  teamId: null,
  projectId: null,
  deploymentId: null,
  severity: 'info',
  at,
  principal,
  message,
  before: before && snapshot(before),
  after: snapshot(after),
});

const snapshot = ({ name, kind, machineId, cordoned }: Cluster): Json => ({ name, kind, machineId, cordoned });
