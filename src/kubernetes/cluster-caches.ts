import { ClusterUnreachable } from '../deployments/cluster.port.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { KubernetesApi } from './api/kubernetes-api.ts';
import type {
  EndpointSlice,
  KubernetesDeployment,
  KubernetesObject,
  Namespace,
  NetworkPolicy,
  ObjectMeta,
  Pod,
  PodDisruptionBudget,
  PriorityClass,
  ResourceQuota,
  Service,
  ServiceAccount,
} from './api/objects.ts';
import * as kinds from './api/resource.ts';
import type { Resource } from './api/resource.ts';
import { LABELS, MANAGED_BY } from './manifests/names.ts';
import { unreachable } from './workloads/refusal.ts';
import { ResourceCache, type CacheLimits } from './watch/resource-cache.ts';
import type { Held } from './watch/resource-state.ts';

/** The first lists may take this long before an observation fails. Higher: a loop waits for a dead cluster; lower: starts begin with a failure. */
const FIRST_SYNC_MS = 10_000;
/** A watch that is broken for longer shows the past. Higher: an outage is noticed late; lower: every reconnection is one. */
const MAX_TROUBLE_MS = 5_000;
/** After a silence of this length the server is asked whether it is there. Higher: an outage is noticed late; lower: more requests when idle. */
const SILENCE_MS = 15_000;

/** Somebody who decides how many replicas a KubernetesDeployment has. */
export interface Autoscaler extends KubernetesObject {
  readonly spec?: { readonly scaleTargetRef?: { readonly kind?: string; readonly name?: string } };
}

export const AUTOSCALERS: Resource<Autoscaler> = {
  group: 'autoscaling',
  version: 'v2',
  plural: 'horizontalpodautoscalers',
  kind: 'HorizontalPodAutoscaler',
  namespaced: true,
};

export interface HeldDeployment extends KubernetesDeployment {
  /** Somebody else wrote the number of replicas last. */
  readonly foreignReplicas: boolean;
}

export interface ClusterCachesDeps {
  readonly api: KubernetesApi;
  readonly installation: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: Partial<CacheLimits>;
}

/** What the cluster has of this installation's objects, kept up by watching. */
export class ClusterCaches {
  readonly deployments: ResourceCache<KubernetesDeployment, HeldDeployment>;
  readonly services: ResourceCache<Service>;
  readonly endpointSlices: ResourceCache<EndpointSlice>;
  readonly pods: ResourceCache<Pod>;
  readonly disruptionBudgets: ResourceCache<PodDisruptionBudget>;
  readonly serviceAccounts: ResourceCache<ServiceAccount>;
  readonly networkPolicies: ResourceCache<NetworkPolicy>;
  readonly namespaces: ResourceCache<Namespace>;
  readonly quotas: ResourceCache<ResourceQuota>;
  readonly priorityClasses: ResourceCache<PriorityClass>;
  /** Of everybody. */
  readonly autoscalers: ResourceCache<Autoscaler>;
  readonly #deps: ClusterCachesDeps;
  readonly #all: readonly Cache[];

  constructor(deps: ClusterCachesDeps) {
    this.#deps = deps;
    const own = `${LABELS.installation}=${deps.installation}`;
    const of = <R extends KubernetesObject>(resource: Resource<R>, labelSelector?: string) =>
      this.#cache(resource, { ...(labelSelector === undefined ? {} : { labelSelector }) }, withoutManagers<R>);
    this.deployments = this.#cache(kinds.KUBERNETES_DEPLOYMENTS, { labelSelector: own }, heldDeployment);
    this.services = of(kinds.SERVICES, own);
    this.endpointSlices = of(kinds.ENDPOINT_SLICES, own);
    this.pods = this.#cache(kinds.PODS, { labelSelector: own }, heldPod);
    this.disruptionBudgets = of(kinds.POD_DISRUPTION_BUDGETS, own);
    this.serviceAccounts = of(kinds.SERVICE_ACCOUNTS, own);
    this.networkPolicies = of(kinds.NETWORK_POLICIES, own);
    this.namespaces = of(kinds.NAMESPACES, own);
    this.quotas = of(kinds.RESOURCE_QUOTAS, own);
    this.priorityClasses = of(kinds.PRIORITY_CLASSES, `${LABELS.managedBy}=${MANAGED_BY}`);
    this.autoscalers = of(AUTOSCALERS);
    this.#all = [
      ...[this.deployments, this.services, this.endpointSlices, this.pods, this.disruptionBudgets],
      ...[this.serviceAccounts, this.networkPolicies, this.namespaces, this.quotas, this.priorityClasses, this.autoscalers],
    ];
  }

  start(): void {
    for (const cache of this.#all) cache.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((cache) => cache.stop()));
  }

  onChange(listener: () => void): void {
    for (const cache of this.#all) cache.onChange(listener);
  }

  /** Pods of a KubernetesDeployment that was taken over, which carry no mark of ours. */
  podsOf(namespace: string, labelSelector: string): ResourceCache<Pod> {
    return this.#cache(kinds.PODS, { namespace, labelSelector }, heldPod);
  }

  /**
   * Resolves when what is held is the cluster's state, whole and not old. Throws `ClusterUnreachable`. Which caches there are beside our own
   * is asked when our own are complete: it is read from them.
   */
  async current(more: () => readonly Cache[] = () => []): Promise<void> {
    await this.#firstSync(this.#all);
    const all = [...this.#all, ...more()];
    await this.#firstSync(all);
    const now = this.#deps.clock.now();
    for (const cache of all) {
      const { error, troubledSince } = cache.freshness();
      if (error && now - (troubledSince ?? now) > MAX_TROUBLE_MS) throw unreachable(asOutage(error));
    }
    if (all.some((cache) => now - (cache.freshness().heardAt ?? 0) <= SILENCE_MS)) return;
    await this.#deps.api.json('/version').catch((error: unknown) => {
      throw unreachable(error);
    });
  }

  async #firstSync(all: readonly Cache[]): Promise<void> {
    const missing = all.filter((cache) => cache.freshness().syncedAt === null);
    if (missing.length === 0) return;
    const timeout = Promise.withResolvers<never>();
    const timer = setTimeout(() => timeout.reject(this.#notSynced(missing)), FIRST_SYNC_MS);
    try {
      await Promise.race([Promise.all(missing.map((cache) => cache.synced())), timeout.promise]);
    } catch (error) {
      throw asOutage(error as Error);
    } finally {
      clearTimeout(timer);
    }
  }

  #notSynced(missing: readonly Cache[]): ClusterUnreachable {
    const cause = missing.map((cache) => cache.freshness().error).find((error) => error !== null);
    return new ClusterUnreachable(`The cluster cannot be seen: ${cause?.message ?? 'its lists are not complete yet'}`, { cause });
  }

  #cache<R extends KubernetesObject, T extends Held>(
    resource: Resource<R>,
    selection: { readonly namespace?: string; readonly labelSelector?: string },
    project: (object: R) => T,
  ): ResourceCache<R, T> {
    const { api, clock, random, logger, limits = {} } = this.#deps;
    return new ResourceCache({ api, resource, selection, project, clock, random, logger, limits });
  }
}

export type Cache = Pick<ResourceCache<KubernetesObject, Held>, 'start' | 'stop' | 'synced' | 'freshness'> & {
  onChange(listener: () => void): () => void;
};

const asOutage = (error: Error): ClusterUnreachable =>
  error instanceof ClusterUnreachable
    ? error
    : new ClusterUnreachable(`The cluster cannot be seen: ${error.message}`, { cause: error });

function withoutManagers<R extends KubernetesObject>(object: R): R {
  const { managedFields: _fields, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function heldDeployment(object: KubernetesDeployment): HeldDeployment {
  return { ...withoutManagers(object), foreignReplicas: hasForeignReplicas(object.metadata) };
}

/** True if somebody but us is written down as an owner of the number of replicas. */
export const hasForeignReplicas = ({ managedFields = [] }: ObjectMeta): boolean =>
  managedFields.some(
    ({ manager, fieldsV1 }) => manager !== 'purser' && manager !== 'purser-scale' && /"f:replicas"/.test(specFields(fieldsV1)),
  );

const specFields = (fields: unknown): string => JSON.stringify((fields as { 'f:spec'?: unknown } | undefined)?.['f:spec'] ?? {});

/** Of a pod only what a replica's life and troubles are read from. */
function heldPod(pod: Pod): Pod {
  const { nodeName, containers = [] } = pod.spec ?? {};
  const spec = {
    ...(nodeName === undefined ? {} : { nodeName }),
    containers: containers.map(({ name, ports = [] }) => ({ name, ports })),
  };
  return { ...withoutManagers(pod), spec };
}
