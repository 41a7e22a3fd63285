import type { AdoptedObject, ApplyResult, WorkloadSpec } from '../../deployments/cluster.port.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Instant } from '../../kernel/instant.ts';
import { KubernetesError } from '../api/errors.ts';
import type { KubernetesApi } from '../api/kubernetes-api.ts';
import type { KubernetesDeployment } from '../api/objects.ts';
import { KUBERNETES_DEPLOYMENTS } from '../api/resource.ts';
import type { ClusterCaches, HeldDeployment } from '../cluster-caches.ts';
import type { EpochFence } from './epoch-fence.ts';
import { toldAnnotations } from '../manifests/make-workload-objects.ts';
import type { ManifestSettings } from '../manifests/manifest-settings.ts';
import { ANNOTATIONS, LABELS, teamNamespace, workloadLabels } from '../manifests/names.ts';
import { isConflict, preconditioned, type ObjectWriter } from './object-writer.ts';
import { isAsWanted } from './owned-fields.ts';
import { Refusal, refusal } from './refusal.ts';
import { epochOf, toldGeneration } from './told-spec.ts';
import { adoptedService } from '../manifests/wanted-objects.ts';
import type { WorkloadState } from './workload-state.ts';

/** The owner of the number of replicas of what was taken over: a manager of its own, so that letting go of our marks leaves the number. */
export const SCALE_MANAGER = 'purser-scale';

const MAX_CONFLICTS = 6;

export interface AdoptedWriterDeps {
  readonly api: KubernetesApi;
  readonly caches: ClusterCaches;
  readonly state: WorkloadState;
  readonly fence: EpochFence;
  readonly objects: ObjectWriter;
  readonly settings: ManifestSettings;
  readonly clock: Clock;
}

/** Takes over KubernetesDeployments that others made: marks, a number of replicas and a service beside them; never the pods themselves. */
export class AdoptedWriter {
  readonly #deps: AdoptedWriterDeps;

  constructor(deps: AdoptedWriterDeps) {
    this.#deps = deps;
  }

  async apply(spec: WorkloadSpec, ref: AdoptedObject, epoch: number): Promise<ApplyResult> {
    const { api, caches, objects, settings, fence } = this.#deps;
    const found = await api.get(KUBERNETES_DEPLOYMENTS, ref);
    if (!found) throw refusal('ADOPTED_NOT_FOUND', `There is no Deployment ${ref.name} in the namespace ${ref.namespace}.`);
    const selector = this.#check(spec, found, epoch);
    if (!found.metadata.labels?.[LABELS.workload]) await fence.confirm(epoch);
    const served = await objects.put(adoptedService(spec, settings, selector, caches), { epoch, fresh: false });
    const marked = await this.#mark(spec, found, epoch);
    const scaled = await this.#scale(spec, epoch);
    return { outcome: served || marked || scaled ? 'applied' : 'unchanged' };
  }

  /** Takes our marks away and leaves the rest as it is. */
  async release(seen: KubernetesDeployment, epoch: number): Promise<boolean> {
    const { api, fence } = this.#deps;
    const { namespace = '', name } = seen.metadata;
    return retried(async () => {
      const live = await api.get(KUBERNETES_DEPLOYMENTS, { namespace, name });
      if (!live || live.metadata.labels?.[LABELS.workload] !== seen.metadata.labels?.[LABELS.workload]) return false;
      fence.note(epoch, epochOf(live));
      const { uid, resourceVersion } = live.metadata;
      const metadata = { namespace, name, uid, resourceVersion };
      await api.apply(KUBERNETES_DEPLOYMENTS, { apiVersion: 'apps/v1', kind: 'Deployment', metadata });
      return true;
    });
  }

  /** Answers what selects its pods. */
  #check(spec: WorkloadSpec, found: KubernetesDeployment, epoch: number): Readonly<Record<string, string>> {
    const { settings, fence } = this.#deps;
    const refused = ownershipRefusal(spec, found, settings);
    if (refused) throw refused;
    fence.note(epoch, epochOf(found));
    const seenGeneration = toldGeneration(found);
    if (seenGeneration > spec.generation) throw new Refusal({ outcome: 'stale_generation', seenGeneration });
    const { matchLabels = {}, matchExpressions = [] } = found.spec?.selector ?? {};
    if (matchExpressions.length === 0 && Object.keys(matchLabels).length > 0) return matchLabels;
    throw refusal(
      'SELECTOR_NOT_SUPPORTED',
      `The Deployment ${nameOf(found)} selects its pods by expressions; a service can only follow labels.`,
    );
  }

  async #mark(spec: WorkloadSpec, found: KubernetesDeployment, epoch: number): Promise<boolean> {
    const { api, caches, settings } = this.#deps;
    const { namespace = '', name } = found.metadata;
    // Its owner says what manages it.
    const { [LABELS.managedBy]: _managedBy, ...labels } = workloadLabels(spec, settings.installation);
    const now = this.#deps.clock.now();
    return retried(async (again) => {
      const live = again ? await api.get(KUBERNETES_DEPLOYMENTS, { namespace, name }) : found;
      if (!live) throw refusal('ADOPTED_NOT_FOUND', `The Deployment ${namespace}/${name} is gone.`);
      this.#check(spec, live, epoch);
      const annotations = { ...toldAnnotations(spec), ...adoptedAt(live, now) };
      const manifest = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { namespace, name, labels, annotations } };
      if (isAsWanted(manifest, live)) return false;
      caches.deployments.note(await api.apply(KUBERNETES_DEPLOYMENTS, preconditioned(manifest, live, epoch)));
      return true;
    });
  }

  /** Only where the number differs, and nobody else decides it. */
  async #scale(spec: WorkloadSpec, epoch: number): Promise<boolean> {
    const { api, caches, state, fence } = this.#deps;
    const ref = { namespace: spec.adopt?.namespace ?? '', name: spec.adopt?.name ?? '' };
    return retried(async (again) => {
      const live: HeldDeployment | undefined = again ? undefined : caches.deployments.get(ref.namespace, ref.name);
      const found = live ?? (await api.get(KUBERNETES_DEPLOYMENTS, ref));
      if (!found || state.isScaledByOthers(found) || found.spec?.replicas === spec.replicas) return false;
      fence.note(epoch, epochOf(found));
      const { uid, resourceVersion } = found.metadata;
      const manifest = {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { ...ref, uid, resourceVersion },
        spec: { replicas: spec.replicas },
      };
      caches.deployments.note(await api.apply(KUBERNETES_DEPLOYMENTS, manifest, { fieldManager: SCALE_MANAGER }));
      return true;
    });
  }
}

function ownershipRefusal(spec: WorkloadSpec, found: KubernetesDeployment, settings: ManifestSettings): Refusal | null {
  const { namespace = '', name, labels = {}, annotations = {} } = found.metadata;
  const owner = labels[LABELS.workload];
  const isOurs = owner === spec.workloadId && labels[LABELS.installation] === settings.installation;
  if (owner !== undefined && !isOurs)
    return refusal('ALREADY_ADOPTED', `The Deployment ${nameOf(found)} belongs to another deployment of Purser already.`);
  const isTeams = namespace === teamNamespace(settings.namespacePrefix, spec.teamName);
  if (isTeams || annotations[ANNOTATIONS.adoptableBy] === spec.teamName) return null;
  const command = `kubectl annotate -n ${namespace} deployment ${name} ${ANNOTATIONS.adoptableBy}=${spec.teamName}`;
  return refusal('ADOPTION_NOT_ALLOWED', `Whoever owns the Deployment ${nameOf(found)} has to allow it: ${command}`);
}

/** Written with the first marks and kept from then on. */
function adoptedAt(
  { metadata: { labels = {}, annotations = {} } }: KubernetesDeployment,
  now: Instant,
): Readonly<Record<string, string>> {
  const known = annotations[ANNOTATIONS.adoptedAt];
  if (labels[LABELS.workload] === undefined) return { [ANNOTATIONS.adoptedAt]: new Date(now).toISOString() };
  return known === undefined ? {} : { [ANNOTATIONS.adoptedAt]: known };
}

const nameOf = ({ metadata }: KubernetesDeployment): string => `${metadata.namespace ?? ''}/${metadata.name}`;

/** Again where somebody else wrote meanwhile, a few times. */
async function retried(change: (again: boolean) => Promise<boolean>): Promise<boolean> {
  for (let conflicts = 0; ; conflicts += 1) {
    try {
      return await change(conflicts > 0);
    } catch (error) {
      if (!isConflict(error)) throw error;
      if (conflicts === MAX_CONFLICTS)
        throw refusal('WRITE_CONFLICTS', `Somebody keeps changing what was taken over: ${(error as KubernetesError).message}`);
    }
  }
}
