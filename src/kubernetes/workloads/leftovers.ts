import type { KubernetesObject } from '../api/objects.ts';
import * as kinds from '../api/resource.ts';
import type { Resource } from '../api/resource.ts';
import type { ClusterCaches } from '../cluster-caches.ts';
import { QUOTA_NAME } from '../manifests/make-shared-objects.ts';
import type { ManifestSettings } from '../manifests/manifest-settings.ts';
import { LABELS, projectObjectName, teamNamespace } from '../manifests/names.ts';
import { isMade } from '../manifests/wanted-objects.ts';

export interface Leftover {
  readonly resource: Resource;
  readonly object: KubernetesObject;
}

/**
 * What projects and teams share and nobody needs any more: their last pod has ended, and none of `projects` (`team/project`) is theirs.
 * Namespaces stay: to delete one is to delete what others put into it.
 */
export function leftoversIn(caches: ClusterCaches, settings: ManifestSettings, projects: ReadonlySet<string>): Leftover[] {
  const standing = [caches.deployments, caches.services, caches.pods].flatMap((cache) => [...cache.items().values()]);
  const used = new Set([...projects, ...standing.map(projectOf)]);
  const teams = new Set([...used].map((project) => project.split('/')[0]));
  const unused = (resource: Resource, cache: { items(): ReadonlyMap<string, KubernetesObject> }): Leftover[] =>
    [...cache.items().values()]
      .filter((object) => isOfProject(object, settings) && !used.has(projectOf(object)))
      .map((object) => ({ resource, object }));
  const quotas = [...caches.quotas.items().values()].filter(
    (object) => isOfTeam(object, settings) && object.metadata.name === QUOTA_NAME && !teams.has(teamOf(object)),
  );
  return [
    ...unused(kinds.NETWORK_POLICIES, caches.networkPolicies),
    ...unused(kinds.SERVICE_ACCOUNTS, caches.serviceAccounts),
    ...quotas.map((object) => ({ resource: kinds.RESOURCE_QUOTAS, object })),
  ];
}

const teamOf = ({ metadata }: KubernetesObject): string => metadata.labels?.[LABELS.team] ?? '';

const projectOf = (object: KubernetesObject): string => `${teamOf(object)}/${object.metadata.labels?.[LABELS.project] ?? ''}`;

/** Of our making and under the very name that we give: what was only labelled as ours is left alone. */
const isOfTeam = (object: KubernetesObject, { namespacePrefix }: ManifestSettings): boolean =>
  isMade(object) &&
  object.metadata.deletionTimestamp === undefined &&
  object.metadata.namespace === teamNamespace(namespacePrefix, teamOf(object));

const isOfProject = (object: KubernetesObject, settings: ManifestSettings): boolean =>
  isOfTeam(object, settings) && object.metadata.name === projectObjectName(object.metadata.labels?.[LABELS.project] ?? '');
