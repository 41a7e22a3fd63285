import type { WorkloadSpec } from '../../deployments/cluster.port.ts';
import type { KubernetesManifest, KubernetesObject } from '../api/objects.ts';
import * as kinds from '../api/resource.ts';
import type { Resource } from '../api/resource.ts';
import type { ClusterCaches } from '../cluster-caches.ts';
import { makeNamespace, makeNetworkPolicy, makePriorityClasses, makeQuota, makeServiceAccount } from './make-shared-objects.ts';
import { makeService, makeWorkloadObjects } from './make-workload-objects.ts';
import type { ManifestSettings } from './manifest-settings.ts';
import { LABELS, MANAGED_BY } from './names.ts';

/** Where an object is kept. */
export interface Place {
  readonly resource: Resource;
  readonly cache: {
    get(namespace: string | null, name: string): KubernetesObject | undefined;
    note(object: KubernetesObject): void;
  };
}

/** An object that a workload needs. */
export interface Wanted extends Place {
  readonly manifest: KubernetesManifest;
  /** Others may have it under this name. */
  readonly shared: 'with_nobody' | 'in_team' | 'by_all';
}

/** What all replicas of a project need, in the order in which it is made. */
export function sharedObjects(spec: WorkloadSpec, settings: ManifestSettings, uid: number, caches: ClusterCaches): Wanted[] {
  const quota = makeQuota(spec, settings);
  return [
    ...makePriorityClasses().map((manifest) => ({
      resource: kinds.PRIORITY_CLASSES,
      cache: caches.priorityClasses,
      manifest,
      shared: 'by_all' as const,
    })),
    inTeam(kinds.NAMESPACES, caches.namespaces, makeNamespace(spec, settings)),
    ...(quota ? [inTeam(kinds.RESOURCE_QUOTAS, caches.quotas, quota)] : []),
    inTeam(kinds.SERVICE_ACCOUNTS, caches.serviceAccounts, makeServiceAccount(spec, settings, uid)),
    inTeam(kinds.NETWORK_POLICIES, caches.networkPolicies, makeNetworkPolicy(spec, settings)),
  ];
}

export interface OwnObjects {
  /** Before the KubernetesDeployment, so that what it needs is there. */
  readonly before: readonly Wanted[];
  /** Stands for the workload: last, so that a workload that is there is whole. */
  readonly deployment: Wanted;
}

/** What the workload alone has. */
export function ownObjects(spec: WorkloadSpec, settings: ManifestSettings, uid: number, caches: ClusterCaches): OwnObjects {
  const { service, disruptionBudget, deployment } = makeWorkloadObjects(spec, { settings, uid });
  return {
    before: [
      alone(kinds.SERVICES, caches.services, service),
      alone(kinds.POD_DISRUPTION_BUDGETS, caches.disruptionBudgets, disruptionBudget),
    ],
    deployment: alone(kinds.KUBERNETES_DEPLOYMENTS, caches.deployments, deployment),
  };
}

/** What is added to a KubernetesDeployment that was taken over. */
export const adoptedService = (
  spec: WorkloadSpec,
  settings: ManifestSettings,
  selector: Readonly<Record<string, string>>,
  caches: ClusterCaches,
): Wanted => alone(kinds.SERVICES, caches.services, makeService(spec, settings, selector));

/** The object as it was last seen. */
export const heldOf = ({ cache, manifest: { metadata } }: Wanted): KubernetesObject | undefined =>
  cache.get(metadata.namespace ?? null, metadata.name);

export const isOf = (installation: string, { metadata }: KubernetesObject): boolean =>
  metadata.labels?.[LABELS.installation] === installation;

/** True if somebody else says that it is theirs. What lost its marks is marked anew where nobody else comes to its name. */
export const isForeign = (installation: string, object: KubernetesObject, { shared }: Pick<Wanted, 'shared'>): boolean =>
  !isOf(installation, object) && (shared === 'in_team' || object.metadata.labels?.[LABELS.installation] !== undefined);

/** False for what was made by others and taken over. */
export const isMade = ({ metadata }: KubernetesObject): boolean => metadata.labels?.[LABELS.managedBy] === MANAGED_BY;

const inTeam = (resource: Resource, cache: Place['cache'], manifest: KubernetesManifest): Wanted => ({
  resource,
  cache,
  manifest,
  shared: 'in_team',
});

const alone = (resource: Resource, cache: Place['cache'], manifest: KubernetesManifest): Wanted => ({
  resource,
  cache,
  manifest,
  shared: 'with_nobody',
});
