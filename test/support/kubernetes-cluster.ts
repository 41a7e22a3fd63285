// A cluster adapter on a cluster of the tests, with an installation and namespaces of its own.
import { randomBytes, randomUUID } from 'node:crypto';
import type { WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import { LABELS } from '../../src/kubernetes/manifests/names.ts';
import { KubernetesCluster, type KubernetesClusterOptions } from '../../src/kubernetes/kubernetes-cluster.adapter.ts';
import type { ClusterAccess } from '../kubernetes/cluster/access.ts';
import { TEST_IMAGE, testImages } from '../kubernetes/cluster/images.ts';
import { clock, random } from './kubernetes-world.ts';
import { workload } from './local-runtime.ts';
import { quietLogger } from './quiet-logger.ts';

export interface TestKubernetesCluster {
  readonly cluster: KubernetesCluster;
  readonly api: KubernetesApi;
  readonly installation: string;
  /** Of the team `team`. */
  readonly namespace: string;
  /** Another process of the same installation, with or without another way to the server. */
  another(more?: Partial<KubernetesClusterOptions>): KubernetesCluster;
  close(): Promise<void>;
}

export function openKubernetesCluster(
  access: ClusterAccess,
  more: Partial<KubernetesClusterOptions> = {},
): TestKubernetesCluster {
  const api = KubernetesApi.of({ kind: 'kubeconfig_file', file: access.kubeconfig, context: null }, { clock, random });
  const installation = `test-${randomBytes(4).toString('hex')}`;
  const opened: KubernetesCluster[] = [];
  const another = (changes: Partial<KubernetesClusterOptions> = {}): KubernetesCluster => {
    const cluster = new KubernetesCluster({
      api,
      installation,
      namespacePrefix: installation,
      systemNamespace: `${installation}-system`,
      modelServerImage: 'purser.test/model-server:1',
      routerSources: { namespace: null, cidrs: ['0.0.0.0/0'] },
      ...{ clock, random, logger: quietLogger },
      ...more,
      ...changes,
    });
    opened.push(cluster);
    cluster.start();
    return cluster;
  };
  return {
    cluster: another(),
    api,
    installation,
    namespace: `${installation}-team`,
    another,
    close: async () => {
      await Promise.all(opened.map((cluster) => cluster.stop()));
      const { items } = await access.api.get<{ items: { metadata: { name: string } }[] }>(
        `/api/v1/namespaces?labelSelector=${LABELS.installation}%3D${installation}`,
      );
      for (const { metadata } of items) await access.deleteNamespace(metadata.name);
      await api.close();
    },
  };
}

/** The test container by digest, as a cluster of the tests has it. */
export async function pinnedTestImage(): Promise<string> {
  const given = process.env['PURSER_TEST_IMAGE'];
  if (given !== undefined) return given;
  const built = (await testImages()).find(({ name }) => name === TEST_IMAGE);
  return `${TEST_IMAGE.split(':')[0] ?? ''}@${built?.digest ?? ''}`;
}

/** A workload of the test container; its environment says how it misbehaves. */
export const containerWorkload = (
  image: string,
  { environment = {}, ...more }: Partial<WorkloadSpec> & { readonly environment?: Readonly<Record<string, string>> } = {},
): WorkloadSpec =>
  workload(
    { format: 'container', image, environment },
    {
      modelName: `model-${randomUUID().slice(0, 8)}`,
      protocol: 'http',
      port: 8080,
      healthPath: '/healthz',
      resources: { cpuMilli: 50, memoryMib: 32, accelerator: null },
      ...more,
    },
  );
