import type { Cluster } from '../fleet/cluster.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { ClusterObservation, ObservedWorkload } from './cluster.port.ts';
import { deploymentPath, type Deployment } from './deployment.ts';
import { isAsTold, makeWorkloadSpec, NO_ARTIFACT } from './make-workload-spec.ts';
import { planClusterStatus } from './plan-cluster-status.ts';
import type { Workload } from './replica.ts';
import type { Revision } from './revision.ts';

/**
 * MAKE: it is not there. UPDATE: what is there is an older wish, or not as told. KEEP: told again, nothing changes. REMOVE: nobody wishes it.
 * HOLD: it cannot be explained by the database, and waits for a person.
 */
export const REBUILD_ACTIONS = ['MAKE', 'UPDATE', 'KEEP', 'REMOVE', 'HOLD'] as const;

export type RebuildActionKind = (typeof REBUILD_ACTIONS)[number];

export interface RebuildAction {
  readonly kind: RebuildActionKind;
  readonly message: string;
}

export interface RebuildInput {
  readonly cluster: Cluster;
  /** On the cluster, those not gone. */
  readonly workloads: readonly Workload[];
  readonly deployments: readonly Deployment[];
  readonly revisions: readonly Revision[];
  /** Quotas of replicas by team; absent = none. */
  readonly teamReplicaLimits: ReadonlyMap<Id, number>;
  readonly observation: ClusterObservation;
}

/** What a cluster would be told, from the database alone, beside what it has: compared by digest where the cluster says what it was told. */
export function planRebuild(input: RebuildInput, now: Instant): RebuildAction[] {
  const { workloads, observation } = input;
  const there = new Map(observation.workloads.map((workload) => [workload.workloadId, workload]));
  const known = new Map(workloads.map((workload) => [workload.id, workload]));
  const told = workloads.filter(({ removedAt }) => removedAt === null).map((workload) => tell(workload, there, input));
  const facts = { ...{ blind: null, otherEpoch: null, seenAt: null }, ...input };
  const free = new Set(planClusterStatus(facts, now).removals);
  const unwished = [...there.keys()].filter((id) => known.get(id)?.removedAt !== null).sort();
  return [
    ...told,
    ...unwished.map((id): RebuildAction => {
      const workload = known.get(id);
      const name = workload ? nameOf(workload, input) : `workload ${id}`;
      return workload || free.has(id)
        ? { kind: 'REMOVE', message: `Remove ${name}: nobody wishes it.` }
        : { kind: 'HOLD', message: `Leave ${name}, which the database does not know, until its removal is approved.` };
    }),
  ];
}

function tell(workload: Workload, there: ReadonlyMap<Id, ObservedWorkload>, input: RebuildInput): RebuildAction {
  const name = nameOf(workload, input);
  const seen = there.get(workload.id);
  if (!seen) return { kind: 'MAKE', message: `Make ${name}.` };
  if (seen.generation > workload.generation) {
    const message = `Leave ${name}, of which the cluster knows a later generation, until somebody approves that it goes back.`;
    return { kind: 'HOLD', message };
  }
  if (seen.generation < workload.generation) return { kind: 'UPDATE', message: `Bring ${name} up to date.` };
  return isAsWished(seen, workload, input)
    ? { kind: 'KEEP', message: `Tell it ${name} again.` }
    : { kind: 'UPDATE', message: `Put back ${name}: what is there is not as told.` };
}

function isAsWished(seen: ObservedWorkload, workload: Workload, input: RebuildInput): boolean {
  const deployment = input.deployments.find(({ id }) => id === workload.deploymentId);
  const revision = input.revisions.find(({ id }) => id === workload.revisionId);
  if (!deployment || !revision) return true;
  const teamReplicaLimit = input.teamReplicaLimits.get(deployment.teamId) ?? null;
  return isAsTold(seen, makeWorkloadSpec(deployment, revision, workload, { artifact: NO_ARTIFACT, teamReplicaLimit }));
}

function nameOf({ deploymentId, revisionId, poolName, replicas }: Workload, { deployments, revisions }: RebuildInput): string {
  const deployment = deployments.find(({ id }) => id === deploymentId);
  const number = revisions.find(({ id }) => id === revisionId)?.number ?? '?';
  return `${deployment ? deploymentPath(deployment) : deploymentId} revision ${number} on pool ${poolName} with ${replicas} replicas`;
}
