import type { Id } from '../kernel/id.ts';
import type { DeploymentSpec } from './deployment.ts';
import { isPlaced, splitPlaces, splitReplicas } from './placement.ts';
import type { Workload } from './replica.ts';
import { hourlyOfWorkloads, type MachineRates } from './workload-cost.ts';

export interface RolledBack {
  /** The wish as it is after going back. */
  readonly spec: DeploymentSpec;
  /** Of the revisions that get their traffic back. */
  readonly returning: readonly Workload[];
  /** Of the revision that failed. */
  readonly failed: readonly Workload[];
  /** By offering. */
  readonly rates: MachineRates;
}

/**
 * Replicas of workloads that must wake, by id. A rollout that began at 0 replicas has nothing running to go back to, while the wish asks for
 * replicas: so what gets its traffic back gets them too, unless that is more, or dearer, than what failed, which alone every guard and
 * quota has let pass.
 */
export function wakeRolledBack({ spec, returning, failed, rates }: RolledBack): ReadonlyMap<Id, number> {
  const asleep = returning.filter(({ replicas }) => replicas === 0);
  const woken = asleep.map((workload) => ({ ...workload, replicas: replicasIn(spec, workload) }));
  const after = returning.map((workload) => woken.find(({ id }) => id === workload.id) ?? workload);
  const [wanted, passed] = [hourlyOfWorkloads(after, rates), hourlyOfWorkloads(failed, rates)];
  if (wanted === null || passed === null || wanted > passed || countOf(after) > countOf(failed)) return new Map();
  return new Map(woken.filter(({ replicas }) => replicas > 0).map(({ id, replicas }) => [id, replicas]));
}

function replicasIn(spec: DeploymentSpec, workload: Workload): number {
  const { clusters: named = [], places = [] } = spec.placement;
  if (places.length > 0 && isPlaced(spec, workload))
    return splitPlaces(spec.replicas, places).get(`${workload.clusterName}/${workload.poolName}`) ?? 0;
  if (named.length === 0 || !isPlaced(spec, workload)) return spec.replicas;
  return splitReplicas(spec.replicas, named).get(workload.clusterName) ?? 0;
}

const countOf = (workloads: readonly Workload[]): number => workloads.reduce((all, { replicas }) => all + replicas, 0);
