import { ClusterUnreachable } from '../deployments/cluster.port.ts';
import type { Cluster } from '../fleet/cluster.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import { Credentials, type ClusterAccess } from '../kubernetes/api/credentials.ts';
import { KubernetesApi } from '../kubernetes/api/kubernetes-api.ts';
import { KubernetesCluster } from '../kubernetes/kubernetes-cluster.adapter.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { OpenCluster, OpenedCluster } from './cluster-loops.ts';

export interface OpenClusterDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The way to a registered cluster, by its kind. */
export const openClusters =
  (deps: OpenClusterDeps): OpenCluster =>
  (cluster) =>
    cluster.kind === 'kubernetes'
      ? Promise.resolve(openKubernetes(cluster, deps))
      : Promise.reject(new ClusterUnreachable(`Nothing here can speak to ${cluster.name}, a cluster of kind ${cluster.kind}.`));

function openKubernetes({ name, config }: Cluster, deps: OpenClusterDeps): OpenedCluster {
  if (!config) throw new ClusterUnreachable(`${name} was registered without settings.`);
  const { namespacePrefix, systemNamespace, modelServerImage, routerSources } = config;
  const api = new KubernetesApi({ ...deps, credentials: new Credentials(accessOf(config.access), deps.clock) });
  const settings = { installation: namespacePrefix, namespacePrefix, systemNamespace, modelServerImage, routerSources };
  const cluster = new KubernetesCluster({ ...deps, ...settings, api });
  cluster.start();
  const stop = async (): Promise<void> => {
    await cluster.stop();
    await api.close();
  };
  return { cluster, stop };
}

const accessOf = (access: NonNullable<Cluster['config']>['access']): ClusterAccess =>
  access.kind === 'in_cluster' ? { kind: 'in_cluster' } : { kind: 'kubeconfig_file', file: access.file, context: access.context };
