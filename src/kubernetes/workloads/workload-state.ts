import type { ObservedWorkload, WorkloadSpec } from '../../deployments/cluster.port.ts';
import { workloadDigest } from '../../deployments/make-workload-spec.ts';
import { DAY_MS, type Instant } from '../../kernel/instant.ts';
import type { KubernetesManifest, KubernetesObject, Pod } from '../api/objects.ts';
import type { Autoscaler, ClusterCaches, HeldDeployment } from '../cluster-caches.ts';
import { makeQuota, QUOTA_NAME } from '../manifests/make-shared-objects.ts';
import type { ManifestSettings } from '../manifests/manifest-settings.ts';
import {
  ANNOTATIONS,
  LABELS,
  namespaceOf,
  projectObjectName,
  serviceName,
  teamNamespace,
  workloadName,
} from '../manifests/names.ts';
import { instantOf } from '../nodes/node-state.ts';
import { isAsWanted } from './owned-fields.ts';
import { toldGeneration, toldSpec } from './told-spec.ts';
import { heldOf, ownObjects, sharedObjects } from '../manifests/wanted-objects.ts';
import { nameKey } from '../watch/resource-state.ts';
import { workloadProblem } from './workload-problem.ts';

/** Permissions to fetch an artifact last a week. Lower: more writes; higher: a long outage ends with unreadable artifacts. */
const RENEW_GRANT_MS = 3 * DAY_MS;
/** A replica that still waits for its volumes after this time may miss its secret. Lower: slow nodes cause writes; higher: it is put back late. */
const STUCK_MS = 45_000;

/** What the cluster was told of workloads, and whether it still is so. */
export class WorkloadState {
  readonly #caches: ClusterCaches;
  readonly #settings: ManifestSettings;
  /** By uid of the KubernetesDeployment: comparing thousands of workloads field by field at each look would be the whole work of a quiet cluster. */
  readonly #digests = new Map<string, { readonly key: string; readonly digest: string }>();
  /** What autoscalers target, as `namespace/name`; null = to be looked up. */
  #scaled: ReadonlySet<string> | null = null;

  constructor(caches: ClusterCaches, settings: ManifestSettings) {
    this.#caches = caches;
    this.#settings = settings;
    caches.autoscalers.onChange(() => (this.#scaled = null));
  }

  observe(deployment: HeldDeployment, pods: readonly Pod[], now: Instant): ObservedWorkload {
    const spec = toldSpec(deployment);
    const digest = needsGrant(deployment, spec, pods, now) ? '' : this.#digest(deployment, spec);
    return {
      workloadId: deployment.metadata.labels?.[LABELS.workload] ?? '',
      generation: toldGeneration(deployment),
      replicas: spec?.replicas ?? deployment.spec?.replicas ?? 0,
      specDigest: digest,
      problem: workloadProblem(deployment, pods),
    };
  }

  /** Forgets what is not among these. */
  keep(uids: ReadonlySet<string>): void {
    for (const uid of this.#digests.keys()) if (!uids.has(uid)) this.#digests.delete(uid);
  }

  /** True if all objects of the workload are there as the spec wants them. */
  isIntact(spec: WorkloadSpec, deployment: HeldDeployment): boolean {
    const uid = this.uidOf(spec);
    if (uid === null || this.hasSpareQuota(spec)) return false;
    const own = ownObjects(spec, this.#settings, uid, this.#caches);
    const wanted = [...sharedObjects(spec, this.#settings, uid, this.#caches), ...own.before];
    const complete = wanted.every((one) => {
      const held = heldOf(one);
      return held !== undefined && (one.shared === 'by_all' || isAsWanted(one.manifest, held));
    });
    return complete && isAsWanted(this.replicasLeft(own.deployment.manifest, deployment), deployment);
  }

  /** The user of the project's replicas; null = none is written down. */
  uidOf({ projectId, projectName, teamName }: WorkloadSpec): number | null {
    const namespace = teamNamespace(this.#settings.namespacePrefix, teamName);
    const annotations = this.#caches.serviceAccounts.get(namespace, projectObjectName(projectName))?.metadata.annotations;
    const uid = Number(annotations?.[ANNOTATIONS.uid] ?? Number.NaN);
    return annotations?.[ANNOTATIONS.projectId] === projectId && Number.isSafeInteger(uid) ? uid : null;
  }

  /** A quota of ours is there though the team has none any more. */
  hasSpareQuota(spec: WorkloadSpec): boolean {
    const namespace = teamNamespace(this.#settings.namespacePrefix, spec.teamName);
    return makeQuota(spec, this.#settings) === null && this.#caches.quotas.get(namespace, QUOTA_NAME) !== undefined;
  }

  /**
   * The manifest without the number of replicas where somebody else decides it: an autoscaler that targets the object, or one that its
   * owner names. As long as nobody else has written it, the present number is kept ours, because a number without an owner falls to 1.
   */
  replicasLeft(manifest: KubernetesManifest, live: KubernetesObject | null): KubernetesManifest {
    if (!live || !this.isScaledByOthers(live)) return manifest;
    const deployment = live as HeldDeployment;
    const { replicas: _replicas, ...rest } = manifest['spec'] as { readonly replicas: number };
    return { ...manifest, spec: deployment.foreignReplicas ? rest : { ...rest, replicas: deployment.spec?.replicas ?? 1 } };
  }

  isScaledByOthers({ metadata }: KubernetesObject): boolean {
    if (metadata.annotations?.[ANNOTATIONS.scaledBy] !== undefined) return true;
    this.#scaled ??= targetsOf(this.#caches.autoscalers.items().values());
    return this.#scaled.has(nameKey(metadata.namespace, metadata.name));
  }

  #digest(deployment: HeldDeployment, spec: WorkloadSpec | null): string {
    if (!spec) return '';
    const key = this.#key(spec, deployment);
    const known = this.#digests.get(deployment.metadata.uid);
    if (known?.key === key) return known.digest;
    const intact = spec.adopt ? this.#isAdoptedIntact(spec, deployment) : this.isIntact(spec, deployment);
    const digest = intact ? workloadDigest(spec) : '';
    this.#digests.set(deployment.metadata.uid, { key, digest });
    return digest;
  }

  #isAdoptedIntact(spec: WorkloadSpec, deployment: HeldDeployment): boolean {
    const service = this.#caches.services.get(spec.adopt?.namespace ?? null, serviceName(spec));
    return service !== undefined && (this.isScaledByOthers(deployment) || deployment.spec?.replicas === spec.replicas);
  }

  /** Versions of everything that the answer depends on. */
  #key(spec: WorkloadSpec, deployment: HeldDeployment): string {
    const caches = this.#caches;
    const namespace = namespaceOf(spec, this.#settings.namespacePrefix);
    const project = projectObjectName(spec.projectName);
    const parts = [
      deployment,
      caches.services.get(namespace, serviceName(spec)),
      caches.disruptionBudgets.get(namespace, workloadName(spec)),
      caches.serviceAccounts.get(namespace, project),
      caches.networkPolicies.get(namespace, project),
      caches.quotas.get(namespace, QUOTA_NAME),
      caches.namespaces.get(null, namespace),
      ...caches.priorityClasses.items().values(),
    ];
    const versions = parts.map((object) => object?.metadata.resourceVersion ?? '-');
    return `${versions.join(' ')} ${this.isScaledByOthers(deployment)}`;
  }
}

/** True if the permission to fetch the artifact should be written again: it grows old, or replicas wait as if it were missing. */
export function needsGrant(deployment: KubernetesObject, spec: WorkloadSpec | null, pods: readonly Pod[], now: Instant): boolean {
  if (spec?.runtime.format !== 'onnx' || spec.adopt) return false;
  const grantedAt = instantOf(deployment.metadata.annotations?.[ANNOTATIONS.grantedAt]) ?? 0;
  if (now - grantedAt > RENEW_GRANT_MS) return true;
  return now - grantedAt > STUCK_MS && pods.some((pod) => isStuck(pod, now));
}

function isStuck({ status }: Pod, now: Instant): boolean {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  const waiting = status?.containerStatuses?.some(
    ({ state }) => state?.waiting?.reason === 'ContainerCreating' || state?.waiting?.reason === 'CreateContainerConfigError',
  );
  return waiting === true && scheduled?.status === 'True' && now - (instantOf(scheduled.lastTransitionTime) ?? now) > STUCK_MS;
}

const targetsOf = (autoscalers: Iterable<Autoscaler>): ReadonlySet<string> =>
  new Set(
    [...autoscalers].flatMap(({ metadata: { namespace }, spec }) => {
      const { kind, name } = spec?.scaleTargetRef ?? {};
      return kind === 'Deployment' && name !== undefined ? [nameKey(namespace, name)] : [];
    }),
  );
