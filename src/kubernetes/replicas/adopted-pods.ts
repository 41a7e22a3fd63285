import type { Pod } from '../api/objects.ts';
import type { ClusterCaches, HeldDeployment } from '../cluster-caches.ts';
import { ANNOTATIONS, LABELS } from '../manifests/names.ts';
import { instantOf } from '../nodes/node-state.ts';
import { ownerBySpec, type ReplicaWatch } from './replica-watch.ts';
import { toldSpec } from '../workloads/told-spec.ts';
import { isMade } from '../manifests/wanted-objects.ts';
import type { ResourceCache } from '../watch/resource-cache.ts';

/** Pods of KubernetesDeployments that were taken over: they carry no mark of ours, so each selection is watched by itself. */
export class AdoptedPods {
  readonly #caches: ClusterCaches;
  readonly #watch: ReplicaWatch;
  readonly #onChange: () => void;
  readonly #watched = new Map<string, ResourceCache<Pod>>();
  readonly #ending = new Set<Promise<void>>();

  constructor(caches: ClusterCaches, watch: ReplicaWatch, onChange: () => void) {
    this.#caches = caches;
    this.#watch = watch;
    this.#onChange = onChange;
    caches.deployments.onChange((changes) => {
      for (const { kind, object } of changes) {
        if (kind === 'deleted') this.#leave(object);
        else if (!isMade(object)) this.#follow(object);
      }
    });
  }

  caches(): readonly ResourceCache<Pod>[] {
    return [...this.#watched.values()];
  }

  async stop(): Promise<void> {
    await Promise.all([...this.caches().map((cache) => cache.stop()), ...this.#ending]);
  }

  #follow(deployment: HeldDeployment): void {
    const { uid, namespace = '' } = deployment.metadata;
    const labels = Object.entries(deployment.spec?.selector?.matchLabels ?? {});
    if (this.#watched.has(uid) || labels.length === 0) return;
    const cache = this.#caches.podsOf(namespace, labels.map(([name, value]) => `${name}=${value}`).join(','));
    this.#watched.set(uid, cache);
    this.#watch.listen(cache, (pod) => this.#ownerOf(uid, pod));
    cache.onChange(this.#onChange);
    cache.start();
  }

  /** Those that have marks of ours are not what was taken over, whatever the selector says. */
  #ownerOf(uid: string, pod: Pod) {
    const deployment = this.#caches.deployments.byUid(uid);
    const spec = deployment && toldSpec(deployment);
    const isOwned = (pod.metadata.ownerReferences ?? []).some(
      ({ kind, name }) => kind === 'ReplicaSet' && name.startsWith(deployment?.metadata.name ?? ' '),
    );
    return spec && isOwned ? ownerBySpec(spec, instantOf(deployment.metadata.annotations?.[ANNOTATIONS.adoptedAt])) : null;
  }

  #leave({ metadata: { uid, labels = {} } }: HeldDeployment): void {
    const cache = this.#watched.get(uid);
    if (!cache) return;
    this.#watched.delete(uid);
    this.#watch.release(labels[LABELS.workload] ?? '');
    const ended = cache.stop().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }
}
