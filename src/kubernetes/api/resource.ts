import type {
  ConfigMap,
  EndpointSlice,
  KubernetesDeployment,
  KubernetesEvent,
  KubernetesObject,
  ModelDeployment,
  Namespace,
  NetworkPolicy,
  Node,
  Pod,
  PodDisruptionBudget,
  PriorityClass,
  ReplicaSet,
  ResourceQuota,
  Secret,
  Service,
  ServiceAccount,
} from './objects.ts';

/** A kind as an API server serves it; `T` is what its objects are read as. */
export interface Resource<T extends KubernetesObject = KubernetesObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never set: carries `T` for the compiler. */
  readonly objects?: T;
}

export interface ObjectRef {
  /** Null or absent for kinds without a namespace. */
  readonly namespace?: string | null;
  readonly name: string;
}

export const NAMESPACES: Resource<Namespace> = core('namespaces', 'Namespace', false);
export const RESOURCE_QUOTAS: Resource<ResourceQuota> = core('resourcequotas', 'ResourceQuota');
export const SERVICE_ACCOUNTS: Resource<ServiceAccount> = core('serviceaccounts', 'ServiceAccount');
export const SERVICES: Resource<Service> = core('services', 'Service');
export const SECRETS: Resource<Secret> = core('secrets', 'Secret');
export const CONFIG_MAPS: Resource<ConfigMap> = core('configmaps', 'ConfigMap');
export const PODS: Resource<Pod> = core('pods', 'Pod');
export const NODES: Resource<Node> = core('nodes', 'Node', false);
export const EVENTS: Resource<KubernetesEvent> = core('events', 'Event');
export const KUBERNETES_DEPLOYMENTS: Resource<KubernetesDeployment> = of('apps', 'v1', 'deployments', 'Deployment');
export const REPLICA_SETS: Resource<ReplicaSet> = of('apps', 'v1', 'replicasets', 'ReplicaSet');
export const ENDPOINT_SLICES: Resource<EndpointSlice> = of('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice');
export const POD_DISRUPTION_BUDGETS: Resource<PodDisruptionBudget> = of(
  'policy',
  'v1',
  'poddisruptionbudgets',
  'PodDisruptionBudget',
);
export const NETWORK_POLICIES: Resource<NetworkPolicy> = of('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy');
export const PRIORITY_CLASSES: Resource<PriorityClass> = {
  ...of('scheduling.k8s.io', 'v1', 'priorityclasses', 'PriorityClass'),
  namespaced: false,
};
/** Karpenter's own; clusters without it do not serve them. */
export const NODE_POOLS: Resource = { ...of('karpenter.sh', 'v1', 'nodepools', 'NodePool'), namespaced: false };
export const NODE_OVERLAYS: Resource = { ...of('karpenter.sh', 'v1alpha1', 'nodeoverlays', 'NodeOverlay'), namespaced: false };
export const MODEL_DEPLOYMENTS: Resource<ModelDeployment> = of('purser.dev', 'v1alpha1', 'modeldeployments', 'ModelDeployment');

/** `v1`, `apps/v1`, … */
export const apiVersionOf = (resource: Resource): string =>
  resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;

/** The path of all objects of a kind, of those in one namespace, of one object, or of a part of it (`status`, `eviction`, `log`). */
export function pathOf(resource: Resource, at: Partial<ObjectRef> = {}, subresource?: string): string {
  const parts = resource.group === '' ? ['api', resource.version] : ['apis', resource.group, resource.version];
  if (resource.namespaced && at.namespace != null) parts.push('namespaces', at.namespace);
  parts.push(resource.plural);
  if (at.name !== undefined) parts.push(at.name);
  if (subresource !== undefined) parts.push(subresource);
  return `/${parts.map(encodeURIComponent).join('/')}`;
}

function core(plural: string, kind: string, namespaced = true): Resource {
  return { group: '', version: 'v1', plural, kind, namespaced };
}

function of(group: string, version: string, plural: string, kind: string): Resource {
  return { group, version, plural, kind, namespaced: true };
}
