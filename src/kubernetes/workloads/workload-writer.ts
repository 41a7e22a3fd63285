import type { ApplyResult, Fence, WorkloadSpec } from '../../deployments/cluster.port.ts';
import { workloadDigest } from '../../deployments/make-workload-spec.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Id } from '../../kernel/id.ts';
import { admitWorkload } from '../manifests/admit-workload.ts';
import type { AdoptedWriter } from './adopted-writer.ts';
import { KubernetesError } from '../api/errors.ts';
import type { KubernetesApi } from '../api/kubernetes-api.ts';
import type {
  KubernetesDeployment,
  KubernetesManifest,
  KubernetesObject,
  Pod,
  PodDisruptionBudget,
  Service,
} from '../api/objects.ts';
import * as kinds from '../api/resource.ts';
import type { ClusterCaches, HeldDeployment } from '../cluster-caches.ts';
import type { EpochFence } from './epoch-fence.ts';
import { makeArtifactSecret } from '../manifests/make-workload-objects.ts';
import type { ManifestSettings } from '../manifests/manifest-settings.ts';
import { ANNOTATIONS, LABELS, namespaceOf, teamNamespace, workloadName } from '../manifests/names.ts';
import { preconditioned, type ObjectWriter } from './object-writer.ts';
import { QUOTA_NAME } from '../manifests/make-shared-objects.ts';
import { userOfProject } from '../manifests/project-users.ts';
import { Refusal, refusal } from './refusal.ts';
import { toldGeneration, toldSpec } from './told-spec.ts';
import { isForeign, isMade, isOf, ownObjects, sharedObjects } from '../manifests/wanted-objects.ts';
import { needsGrant, type WorkloadState } from './workload-state.ts';

export interface WorkloadWriterDeps {
  readonly api: KubernetesApi;
  readonly caches: ClusterCaches;
  readonly state: WorkloadState;
  readonly fence: EpochFence;
  readonly objects: ObjectWriter;
  readonly adopted: AdoptedWriter;
  readonly settings: ManifestSettings;
  readonly clock: Clock;
  readonly podsOf: (workloadId: Id) => readonly Pod[];
}

interface Parts {
  readonly deployment: HeldDeployment | undefined;
  readonly services: readonly Service[];
  readonly budgets: readonly PodDisruptionBudget[];
}

/** Makes workloads true in the cluster: what they need first, what stands for them last. */
export class WorkloadWriter {
  readonly #deps: WorkloadWriterDeps;
  /** Users of projects are given one after the other. */
  #users: Promise<unknown> = Promise.resolve();

  constructor(deps: WorkloadWriterDeps) {
    this.#deps = deps;
  }

  /** Throws `Refusal` and what the API throws. */
  async apply(spec: WorkloadSpec, { epoch }: Fence): Promise<ApplyResult> {
    const refused = admitWorkload(spec, this.#deps.settings);
    if (refused) throw new Refusal(refused);
    await this.#deps.fence.pass(epoch);
    if (spec.adopt) return this.#deps.adopted.apply(spec, spec.adopt, epoch);
    try {
      return await this.#make(spec, epoch, false);
    } catch (error) {
      if (!isVanished(error)) throw error;
      return this.#make(spec, epoch, true);
    }
  }

  async #make(spec: WorkloadSpec, epoch: number, fresh: boolean): Promise<ApplyResult> {
    const live = await this.#find(spec, fresh);
    if (live) {
      this.#check(spec, epoch, live);
      if (live.metadata.deletionTimestamp !== undefined || this.#isTold(spec, live)) return { outcome: 'unchanged' };
    } else {
      await this.#deps.fence.confirm(epoch);
    }
    const written = await this.#putAll(spec, live, { epoch, fresh });
    if (!live) await this.#undoIfStale(spec, epoch);
    return { outcome: written ? 'applied' : 'unchanged' };
  }

  async #putAll(
    spec: WorkloadSpec,
    live: HeldDeployment | null,
    at: { readonly epoch: number; readonly fresh: boolean },
  ): Promise<boolean> {
    const { objects, settings, caches, clock, state } = this.#deps;
    const uid = await this.#shared(spec, at);
    const own = ownObjects(spec, settings, uid.value, caches);
    let written = uid.written;
    for (const wanted of own.before) written = (await objects.put(wanted, at)) || written;
    const grantedAt = await this.#grant(spec, live, at.epoch);
    const shape = (found: KubernetesObject | null): KubernetesManifest => {
      // Its secret, which nobody watches, may have gone with it.
      if (live && !found) throw new Vanished();
      const manifest = state.replicasLeft(own.deployment.manifest, found);
      return grantedAt === null ? manifest : withAnnotation(manifest, ANNOTATIONS.grantedAt, grantedAt);
    };
    const check = (found: KubernetesObject): void => this.#check(spec, at.epoch, found);
    return (
      (await objects.put(own.deployment, { ...at, shape, check })) || written || grantedAt === new Date(clock.now()).toISOString()
    );
  }

  /** What projects and teams share; answers the project's user. */
  #shared(
    spec: WorkloadSpec,
    at: { readonly epoch: number; readonly fresh: boolean },
  ): Promise<{ value: number; written: boolean }> {
    const turn = this.#users.then(async () => {
      const { objects, settings, caches, state } = this.#deps;
      const value = state.uidOf(spec) ?? userOfProject(spec.projectId, this.#takenUsers(spec));
      let written = await this.#dropSpareQuota(spec, at.epoch);
      for (const wanted of sharedObjects(spec, settings, value, caches)) written = (await objects.put(wanted, at)) || written;
      return { value, written };
    });
    this.#users = turn.catch(() => undefined);
    return turn;
  }

  #takenUsers({ projectId }: WorkloadSpec): ReadonlySet<number> {
    const accounts = [...this.#deps.caches.serviceAccounts.items().values()].map(({ metadata }) => metadata.annotations ?? {});
    return new Set(
      accounts
        .filter((annotations) => annotations[ANNOTATIONS.projectId] !== projectId)
        .map((annotations) => Number(annotations[ANNOTATIONS.uid])),
    );
  }

  async #dropSpareQuota(spec: WorkloadSpec, epoch: number): Promise<boolean> {
    const { state, caches, objects, settings } = this.#deps;
    const quota = caches.quotas.get(teamNamespace(settings.namespacePrefix, spec.teamName), QUOTA_NAME);
    return quota !== undefined && state.hasSpareQuota(spec) ? objects.remove(kinds.RESOURCE_QUOTAS, quota, epoch) : false;
  }

  /** Writes where and with which permission the artifact is fetched, where it is missing or grows old; answers since when it is good. */
  async #grant(spec: WorkloadSpec, live: HeldDeployment | null, epoch: number): Promise<string | null> {
    const { api, settings, clock, podsOf } = this.#deps;
    const secret = makeArtifactSecret(spec, settings);
    if (!secret) return null;
    const now = clock.now();
    const known = live?.metadata.annotations?.[ANNOTATIONS.grantedAt];
    if (live && known !== undefined && !needsGrant(live, spec, podsOf(spec.workloadId), now)) return known;
    await api.apply(kinds.SECRETS, preconditioned(secret, null, epoch));
    return new Date(now).toISOString();
  }

  /** Between our look at the fence and the last write a new leader may have come, which knows nothing of what we made: it goes again. */
  async #undoIfStale(spec: WorkloadSpec, epoch: number): Promise<void> {
    try {
      await this.#deps.fence.confirm(epoch);
    } catch (error) {
      if (error instanceof Refusal) await this.#undo(spec, epoch);
      throw error;
    }
  }

  async #undo(spec: WorkloadSpec, epoch: number): Promise<void> {
    const { caches, api } = this.#deps;
    const made = caches.deployments.get(namespaceOf(spec, this.#deps.settings.namespacePrefix), workloadName(spec));
    if (made?.metadata.annotations?.[ANNOTATIONS.epoch] !== String(epoch)) return;
    const { namespace = '', name, uid, resourceVersion } = made.metadata;
    await api.delete(kinds.KUBERNETES_DEPLOYMENTS, { namespace, name }, { uid, resourceVersion }).catch(() => false);
  }

  /** Idempotent: what is gone is passed over. What stands for the workload goes first, the service last: until then it is seen. */
  async remove(workloadId: Id, { epoch }: Fence): Promise<ApplyResult> {
    const { fence } = this.#deps;
    await fence.pass(epoch);
    const parts = this.#partsOf(workloadId);
    const part = parts.deployment ?? parts.services[0];
    if (!part) return { outcome: 'unchanged' };
    await fence.confirm(epoch);
    const letGo = parts.deployment !== undefined && (await this.#letGo(parts.deployment, epoch));
    const forgotten = mayHaveSecret(part) && (await this.#removeSecret(part, workloadId));
    const cleared = await this.#removeRest(parts, epoch);
    return { outcome: letGo || forgotten || cleared ? 'applied' : 'unchanged' };
  }

  #partsOf(workloadId: Id): Parts {
    const { deployments, services, disruptionBudgets } = this.#deps.caches;
    const among = <T extends KubernetesObject>(items: ReadonlyMap<string, T>): readonly T[] =>
      [...items.values()].filter(({ metadata }) => metadata.labels?.[LABELS.workload] === workloadId);
    const [deployment] = among(deployments.items());
    return { deployment, services: among(services.items()), budgets: among(disruptionBudgets.items()) };
  }

  async #removeRest({ services, budgets }: Parts, epoch: number): Promise<boolean> {
    const { objects } = this.#deps;
    let removed = false;
    for (const budget of budgets) removed = (await objects.remove(kinds.POD_DISRUPTION_BUDGETS, budget, epoch)) || removed;
    for (const service of services) removed = (await objects.remove(kinds.SERVICES, service, epoch)) || removed;
    return removed;
  }

  #letGo(deployment: HeldDeployment, epoch: number): Promise<boolean> {
    const { objects, adopted } = this.#deps;
    return isMade(deployment)
      ? objects.remove(kinds.KUBERNETES_DEPLOYMENTS, deployment, epoch)
      : adopted.release(deployment, epoch);
  }

  /** By its name, which is the workload's alone: secrets are not read. */
  #removeSecret({ metadata }: KubernetesObject, workloadId: Id): Promise<boolean> {
    const name = workloadName({ modelName: metadata.labels?.[LABELS.deployment] ?? '', workloadId });
    return this.#deps.api.delete(kinds.SECRETS, { namespace: metadata.namespace ?? null, name });
  }

  async #find(spec: WorkloadSpec, fresh: boolean): Promise<HeldDeployment | null> {
    const { api, caches, settings } = this.#deps;
    const ref = { namespace: namespaceOf(spec, settings.namespacePrefix), name: workloadName(spec) };
    const held = fresh ? undefined : caches.deployments.get(ref.namespace, ref.name);
    if (held) return held;
    const found = await api.get(kinds.KUBERNETES_DEPLOYMENTS, ref);
    if (found && isOf(settings.installation, found)) caches.deployments.note(found);
    return found && { ...found, foreignReplicas: false };
  }

  #check(spec: WorkloadSpec, epoch: number, live: KubernetesDeployment): void {
    const { fence, settings } = this.#deps;
    if (isForeign(settings.installation, live, { shared: 'with_nobody' }))
      throw refusal(
        'NAME_TAKEN',
        `The Deployment ${live.metadata.namespace ?? ''}/${live.metadata.name} exists and is not of this installation.`,
      );
    fence.note(epoch, Number(live.metadata.annotations?.[ANNOTATIONS.epoch] ?? 0));
    const seenGeneration = toldGeneration(live);
    if (seenGeneration > spec.generation) throw new Refusal({ outcome: 'stale_generation', seenGeneration });
  }

  /** The same spec, and all of it is there. */
  #isTold(spec: WorkloadSpec, live: HeldDeployment): boolean {
    const { state, podsOf, clock } = this.#deps;
    const told = toldSpec(live);
    if (!told || workloadDigest(told) !== workloadDigest(spec)) return false;
    return state.isIntact(told, live) && !needsGrant(live, told, podsOf(spec.workloadId), clock.now());
  }
}

/** What was there when we last looked is there no more: somebody wiped it. */
class Vanished extends Error {}

const isVanished = (error: unknown): boolean =>
  error instanceof Vanished || (error instanceof KubernetesError && error.status === 404);

/** Of a workload of which only a part is left nobody knows. */
const mayHaveSecret = (part: KubernetesObject): boolean => isMade(part) && (toldSpec(part)?.runtime.format ?? 'onnx') === 'onnx';

const withAnnotation = (manifest: KubernetesManifest, name: string, value: string): KubernetesManifest => ({
  ...manifest,
  metadata: { ...manifest.metadata, annotations: { ...manifest.metadata.annotations, [name]: value } },
});
