import type { Id } from '../kernel/id.ts';
import type { ClusterObservation } from './cluster.port.ts';
import { deploymentPath, type Deployment } from './deployment.ts';
import type { Workload } from './replica.ts';
import type { Revision } from './revision.ts';

/** MAKE: it is not there. UPDATE: the cluster knows an older wish. KEEP: told again, nothing changes. REMOVE: nobody wishes it. */
export const REBUILD_ACTIONS = ['MAKE', 'UPDATE', 'KEEP', 'REMOVE'] as const;

export type RebuildActionKind = (typeof REBUILD_ACTIONS)[number];

export interface RebuildAction {
  readonly kind: RebuildActionKind;
  readonly message: string;
}

export interface RebuildInput {
  /** On the cluster, those not gone. */
  readonly workloads: readonly Workload[];
  readonly deployments: readonly Deployment[];
  readonly revisions: readonly Revision[];
  readonly observation: ClusterObservation;
}

/** What a cluster would be told, from the database alone, beside what it has. */
export function planRebuild({ workloads, deployments, revisions, observation }: RebuildInput): RebuildAction[] {
  const there = new Map(observation.workloads.map((workload) => [workload.workloadId, workload]));
  const paths = new Map(deployments.map((deployment) => [deployment.id, deploymentPath(deployment)]));
  const numbers = new Map(revisions.map(({ id, number }) => [id, number]));
  const name = ({ deploymentId, revisionId, poolName, replicas }: Workload): string =>
    `${paths.get(deploymentId) ?? deploymentId} revision ${numbers.get(revisionId) ?? '?'} on pool ${poolName} with ${replicas} replicas`;
  const wished = workloads.filter(({ removedAt }) => removedAt === null);
  const told = wished.map((workload): RebuildAction => {
    const seen = there.get(workload.id);
    if (!seen) return { kind: 'MAKE', message: `Make ${name(workload)}.` };
    return seen.generation < workload.generation
      ? { kind: 'UPDATE', message: `Bring ${name(workload)} up to date.` }
      : { kind: 'KEEP', message: `Tell it ${name(workload)} again.` };
  });
  const known = new Set<Id>(wished.map(({ id }) => id));
  const strangers = [...there.keys()].filter((id) => !known.has(id)).sort();
  return [
    ...told,
    ...strangers.map((id): RebuildAction => ({ kind: 'REMOVE', message: `Remove workload ${id}: nobody wishes it.` })),
  ];
}
