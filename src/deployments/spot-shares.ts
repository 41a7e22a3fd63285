import { isLost, isUnreachable, type Cluster } from '../fleet/cluster.ts';
import type { Deployment } from './deployment.ts';
import { splitReplicas } from './placement.ts';
import type { Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import type { Rollout } from './rollout.ts';

/** A part of a deployment whose replicas follow the spot market by themselves. */
export interface SpotShare {
  /** The cluster of the wish that it is on; '' = all that it is on, where the wish does not share it out over clusters. */
  readonly cluster: string;
  /** Wished for there. */
  readonly replicas: number;
  readonly workloads: readonly Workload[];
}

export interface SharedOut {
  readonly deployment: Pick<Deployment, 'spec'>;
  readonly rollout: Rollout | null;
  readonly revisions: readonly Revision[];
  readonly clusters: readonly Cluster[];
  /** Of the deployment, those not removed. */
  readonly live: readonly Workload[];
}

/**
 * The parts that follow the market: the one revision that has all traffic, on each cluster of the wish's first order with as many replicas as the wish has
 * there. None while a rollout is under way; not where a cluster is out of sight: whether its replicas serve, nobody knows; and not what stands by: that
 * is as the wish and failover say.
 */
export function followedShares({ deployment: { spec }, rollout, revisions, clusters, live }: SharedOut): SpotShare[] {
  const [only, ...others] = spec.traffic.filter(({ weight }) => weight > 0);
  if (!only || others.length > 0 || (rollout !== null && rollout.endedAt === null)) return [];
  const revision = revisions.find(({ number }) => number === only.revision);
  if (!live.every(({ revisionId }) => revisionId === revision?.id)) return [];
  const named = spec.placement.clusters ?? [];
  const isSeen = ({ clusterId }: Workload): boolean =>
    clusters.some((one) => one.id === clusterId && !isLost(one) && !isUnreachable(one));
  if (named.length <= 1) return live.every(isSeen) ? [{ cluster: '', replicas: spec.replicas, workloads: live }] : [];
  const alive = named.filter(({ cluster }) => !clusters.some((one) => one.name === cluster && isLost(one)));
  const counts = splitReplicas(spec.replicas, alive);
  const first = Math.min(...alive.map(({ order }) => order));
  return alive.flatMap(({ cluster, order }) => {
    const workloads = live.filter(({ clusterName }) => clusterName === cluster);
    return order === first && workloads.every(isSeen) ? [{ cluster, replicas: counts.get(cluster) ?? 0, workloads }] : [];
  });
}
