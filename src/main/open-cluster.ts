import { ClusterUnreachable } from '../deployments/cluster.port.ts';
import type { Cluster } from '../fleet/cluster.ts';
import type { OpenedCluster } from './cluster-loops.ts';

/** The way to a registered cluster, by its kind. */
export function openCluster({ name, kind }: Cluster): Promise<OpenedCluster> {
  return Promise.reject(new ClusterUnreachable(`Nothing here can speak to ${name}, a cluster of kind ${kind}.`));
}
