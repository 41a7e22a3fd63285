// 1,000 deployments on three pools each, as one installation has them on a cluster, and what controllers and kubelets would add.
import type { WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import type { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import type { KubernetesDeployment, KubernetesManifest, Pod } from '../../src/kubernetes/api/objects.ts';
import { ENDPOINT_SLICES, KUBERNETES_DEPLOYMENTS, PODS } from '../../src/kubernetes/api/resource.ts';
import type { KubernetesClusterOptions } from '../../src/kubernetes/kubernetes-cluster.adapter.ts';
import { LABELS } from '../../src/kubernetes/manifests/names.ts';

export const DEPLOYMENTS = 1_000;
const POOLS = ['on-demand', 'spot', 'standby'];
const TEAMS = 20;
/** Beyond what the client sends at a time, so that it is never idle. */
const AT_A_TIME = 64;
const DIGEST = `sha256:${'0'.repeat(64)}`;

export const settingsOf = (
  installation: string,
): Pick<
  KubernetesClusterOptions,
  'installation' | 'namespacePrefix' | 'systemNamespace' | 'modelServerImage' | 'routerSources'
> => ({
  installation,
  namespacePrefix: installation,
  systemNamespace: `${installation}-system`,
  modelServerImage: null,
  routerSources: { namespace: null, cidrs: ['10.0.0.0/8'] },
});

export function workloads(): WorkloadSpec[] {
  return Array.from({ length: DEPLOYMENTS }, (_, n) => POOLS.map((pool) => workload(n, pool))).flat();
}

function workload(n: number, poolName: string): WorkloadSpec {
  const team = `team-${n % TEAMS}`;
  const name = `model-${n}`;
  return {
    workloadId: `${name}-${poolName}`,
    generation: 1,
    deploymentId: `deployment-${n}`,
    revisionId: `revision-${n}`,
    teamId: team,
    projectId: `${team}-project`,
    teamName: team,
    projectName: 'project',
    path: `${team}/project/${name}`,
    modelName: name,
    modelVersion: '1',
    revisionNumber: 1,
    poolName,
    capacityType: poolName === 'spot' ? 'spot' : 'on_demand',
    nodeSelector: { 'purser.dev/pool': poolName },
    replicas: 1,
    teamReplicaLimit: null,
    resources: { cpuMilli: 100, memoryMib: 128, accelerator: null },
    runtime: { format: 'container', image: `registry.example.test/${name}@${DIGEST}`, environment: { LEVEL: 'info' } },
    adopt: null,
    protocol: 'http',
    port: 8080,
    healthPath: '/healthz',
    readinessTimeoutMs: 60_000,
    drainTimeoutMs: 30_000,
    concurrency: 4,
  };
}

/** One ready pod and one EndpointSlice for every KubernetesDeployment. */
export async function makePods(api: KubernetesApi, installation: string): Promise<void> {
  const { items } = await api.list(KUBERNETES_DEPLOYMENTS, { labelSelector: `${LABELS.installation}=${installation}` });
  await each(items, async (deployment) => {
    const pod = await makePod(api, deployment);
    await tellStatus(api, pod, { podIP: ADDRESS, ready: true });
    await makeEndpointReady(api, deployment, pod);
  });
}

/** As the replica set's controller and the scheduler leave it: on a node, with nothing running yet. */
export const makePod = (api: KubernetesApi, deployment: KubernetesDeployment): Promise<Pod> => api.apply(PODS, podOf(deployment));

/** As the kubelet does. */
export async function tellStatus(
  api: KubernetesApi,
  { metadata: { name, namespace = '' } }: Pod,
  { podIP, ready }: { readonly podIP: string; readonly ready: boolean },
): Promise<void> {
  const conditions = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type, index) => ({
    type,
    status: ready || index < 2 ? 'True' : 'False',
    lastTransitionTime: AT,
  }));
  const status = { phase: 'Running', podIP, hostIP: '10.0.0.1', startTime: AT, conditions };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace }, status };
  await api.apply(PODS, pod, { subresource: 'status', fieldManager: 'kubelet' });
}

/** As the controller of EndpointSlices does. Its address is of no meaning: the API server takes no loopback address. */
export async function makeEndpointReady(api: KubernetesApi, deployment: KubernetesDeployment, pod: Pod): Promise<void> {
  const { name, namespace = '', uid, labels = {} } = pod.metadata;
  const endpoint = {
    addresses: [ADDRESS],
    conditions: { ready: true },
    targetRef: { kind: 'Pod', namespace, name, uid },
  };
  await api.apply(ENDPOINT_SLICES, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace, labels: { ...labels, 'kubernetes.io/service-name': deployment.metadata.name } },
    addressType: 'IPv4',
    endpoints: [endpoint],
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  });
}

function podOf({ metadata, spec }: KubernetesDeployment): KubernetesManifest {
  const name = `${metadata.name}-0123456789-abcde`;
  const { labels = {}, annotations = {} } = spec?.template.metadata ?? {};
  const named = { name, labels, annotations, ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }) };
  return { apiVersion: 'v1', kind: 'Pod', metadata: named, spec: { ...spec?.template.spec, nodeName: 'node-1' } };
}

const AT = '2026-01-01T00:00:00Z';
const ADDRESS = '10.1.2.3';

/** Does it for all, so many at a time. */
export async function each<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  const left = [...items];
  const work = async (): Promise<void> => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await act(item);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
}
