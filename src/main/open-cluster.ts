import { ClusterUnreachable } from '../deployments/cluster.port.ts';
import type { Cluster } from '../fleet/cluster.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import { Credentials, type ClusterAccess } from '../kubernetes/api/credentials.ts';
import { KubernetesApi } from '../kubernetes/api/kubernetes-api.ts';
import { EpochFence } from '../kubernetes/workloads/epoch-fence.ts';
import { KubernetesInventory } from '../kubernetes/nodes/inventory.adapter.ts';
import { KubernetesCluster } from '../kubernetes/kubernetes-cluster.adapter.ts';
import { KubernetesNodeActions } from '../kubernetes/nodes/node-actions.adapter.ts';
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
  const inventory = new KubernetesInventory({ ...deps, api, installation: namespacePrefix });
  const cluster = new KubernetesCluster({ ...deps, ...settings, api, nodeOf: (node) => inventory.nodeOf(node) });
  inventory.onNodesChanged(() => cluster.nodesChanged());
  const fence = new EpochFence({ api, installation: namespacePrefix, namespace: systemNamespace, of: 'nodes' });
  const actions = new KubernetesNodeActions({ api, fence });
  inventory.start();
  cluster.start();
  const stop = async (): Promise<void> => {
    await inventory.stop();
    await cluster.stop();
    await api.close();
  };
  return { cluster, nodes: { inventory, actions }, stop };
}

const accessOf = (access: NonNullable<Cluster['config']>['access']): ClusterAccess =>
  access.kind === 'in_cluster' ? { kind: 'in_cluster' } : { kind: 'kubeconfig_file', file: access.file, context: access.context };
