import type { Offering } from '../clouds/offering.ts';
import { regionOf } from '../clouds/offering-key.ts';
import type { Cluster, Pool } from '../fleet/cluster.ts';
import type { Id } from '../kernel/id.ts';
import type { Resources } from '../kernel/resources.ts';
import { meansAnyRegion } from '../scheduler/region-pattern.ts';
import type { DeploymentSpec } from './deployment.ts';
import { isPlaced } from './placement.ts';
import type { Workload } from './replica.ts';

export interface SparePoolsQuestion {
  readonly spec: Pick<DeploymentSpec, 'placement'>;
  /** What one replica needs. */
  readonly resources: Resources;
  /** Those that it has. */
  readonly workloads: readonly Workload[];
  readonly clusters: readonly Cluster[];
  readonly pools: readonly Pool[];
  /** Of the pools, by id. */
  readonly offerings: ReadonlyMap<Id, Offering>;
}

/**
 * Pools that a deployment is not on and that its wish allows: where it could go while there is nothing where it is. Of the clusters that it is on, and
 * only where it is known what their nodes are.
 */
export function sparePools(question: SparePoolsQuestion): Pool[] {
  const { spec, workloads, clusters, pools, offerings } = question;
  const here = new Set(workloads.map(({ clusterId }) => clusterId));
  const used = new Set(workloads.map(({ poolId }) => poolId));
  return pools.filter((pool) => {
    const cluster = clusters.find(({ id }) => id === pool.clusterId);
    const offering = offerings.get(pool.offeringId ?? '');
    if (!cluster || !offering || cluster.cordoned || !here.has(pool.clusterId) || used.has(pool.id)) return false;
    return isPlaced(spec, { clusterName: cluster.name, poolName: pool.name }) && isAllowed(pool, offering, question);
  });
}

/** The wish says that its replicas may not be there, or not any more. */
export const isForbidden = (
  { capacityType }: Pick<Workload, 'capacityType'>,
  offering: Offering | undefined,
  { placement: { capacityTypes, policy } }: Pick<DeploymentSpec, 'placement'>,
): boolean =>
  !capacityTypes.includes(capacityType) ||
  (offering !== undefined && policy?.residency !== undefined && !meansAnyRegion(policy.residency, regionOf(offering)));

function isAllowed({ capacityType, name }: Pool, offering: Offering, question: SparePoolsQuestion): boolean {
  const { regions, capacityTypes, pool: named = name } = question.spec.placement;
  if (named !== name || !capacityTypes.includes(capacityType)) return false;
  return (
    meansAnyRegion(regions, regionOf(offering)) && isInPolicy(offering, question) && isLargeEnough(offering, question.resources)
  );
}

/** How far callers and neighbours are was weighed for the regions that it is in: where that matters it stays in these. */
function isInPolicy(offering: Offering, { spec, workloads, offerings }: SparePoolsQuestion): boolean {
  const { residency, latencyMs, near = [], apart = [] } = spec.placement.policy ?? {};
  const region = regionOf(offering);
  if (residency && !meansAnyRegion(residency, region)) return false;
  if (latencyMs === undefined && near.length === 0 && apart.length === 0) return true;
  const known = workloads.flatMap(({ offeringId }) => offerings.get(offeringId) ?? []);
  return known.some((one) => regionOf(one) === region);
}

function isLargeEnough(
  { cpuMilli, memoryMib, accelerator: has }: Offering,
  { accelerator: needs, ...needed }: Resources,
): boolean {
  if (cpuMilli < needed.cpuMilli || (memoryMib ?? 0) < needed.memoryMib) return false;
  return needs === null || (has?.model === needs.model && has.countMilli >= needs.countMilli && has.memoryMib >= needs.memoryMib);
}
