import type { Id } from '../kernel/id.ts';
import type { NewLine } from './restate.ts';
import type { Instant } from '../kernel/instant.ts';

/** Whose line it is and what it was spent on. A line of a node belongs to no team: it is the platform's until a question spreads it. */
export interface LineResource {
  readonly resourceId: Id;
  readonly kind: 'replica' | 'node_idle' | 'shared';
  /** The node whose price it is a part of; null = the replica's own offering. */
  readonly nodeId: Id | null;
  readonly teamId: Id | null;
  readonly projectId: Id | null;
  readonly deploymentId: Id | null;
  readonly revisionId: Id | null;
  readonly modelId: Id | null;
  readonly modelVersionId: Id | null;
  readonly clusterId: Id;
  readonly offeringId: Id | null;
}

/** What a line of a replica names. */
export interface ReplicaNames {
  readonly replicaId: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly deploymentId: Id;
  readonly revisionId: Id;
  readonly modelId: Id;
  readonly modelVersionId: Id;
  readonly clusterId: Id;
  readonly offeringId: Id;
}

export type LedgerLine = LineResource & NewLine & { readonly minute: Instant };

export function resourceOfReplica(
  replica: ReplicaNames,
  on: { readonly nodeId: Id; readonly offeringId: Id | null } | null,
): LineResource {
  const { replicaId, teamId, projectId, deploymentId, revisionId, modelId, modelVersionId, clusterId, offeringId } = replica;
  const names = { teamId, projectId, deploymentId, revisionId, modelId, modelVersionId, clusterId };
  return {
    resourceId: replicaId,
    kind: 'replica',
    ...names,
    nodeId: on?.nodeId ?? null,
    offeringId: on ? on.offeringId : offeringId,
  };
}

/** What nobody has (the resource is the node itself), or somebody else's pod. */
export const resourceOfNode = (
  node: { readonly nodeId: Id; readonly clusterId: Id },
  resourceId: Id,
  offeringId: Id | null,
): LineResource => ({
  resourceId,
  kind: resourceId === node.nodeId ? 'node_idle' : 'shared',
  nodeId: node.nodeId,
  teamId: null,
  projectId: null,
  deploymentId: null,
  revisionId: null,
  modelId: null,
  modelVersionId: null,
  clusterId: node.clusterId,
  offeringId,
});

/** The bytes that name a group of callers in the ledger; no part holds a slash before the experiment. */
export const groupKeyOf = (group: NewLine['group']): string =>
  group === null ? '' : [group.callerTeamId, group.caller, group.kind, group.experiment].join('/');
