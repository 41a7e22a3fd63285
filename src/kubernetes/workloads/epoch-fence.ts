import { KubernetesError } from '../api/errors.ts';
import type { KubernetesApi } from '../api/kubernetes-api.ts';
import type { ConfigMap } from '../api/objects.ts';
import { CONFIG_MAPS, NAMESPACES } from '../api/resource.ts';
import { ANNOTATIONS, installationLabels } from '../manifests/names.ts';
import { Refusal } from './refusal.ts';

/** Writes of two leaders that meet. Higher: a storm is fought for longer; lower: an honest leader is told off by chance. */
const MAX_CONFLICTS = 5;

export interface EpochFenceDeps {
  readonly api: Pick<KubernetesApi, 'get' | 'apply'>;
  readonly installation: string;
  /** Where the installation keeps its own objects; made if it is missing. */
  readonly namespace: string;
  /** Of a loop with a leader of its own; absent = of workloads. */
  readonly of?: 'nodes';
}

/**
 * The highest epoch that acted on this cluster, kept in the cluster itself. Objects that exist carry the epoch of their last writer, so
 * that changing them needs no look here; making and deleting does.
 */
export class EpochFence {
  readonly #deps: EpochFenceDeps;
  #seen = 0;
  /** Known to be written in the cluster. */
  #raised = 0;

  constructor(deps: EpochFenceDeps) {
    this.#deps = deps;
  }

  /** Throws `Refusal` (`stale_epoch`) if a higher epoch is known; the first call of an epoch writes it down. */
  async pass(epoch: number): Promise<void> {
    this.note(epoch, 0);
    if (this.#raised < epoch) await this.confirm(epoch);
  }

  /** The same, and asks the cluster in any case. */
  async confirm(epoch: number): Promise<void> {
    for (let conflicts = 0; ; conflicts += 1) {
      const found = await this.#deps.api.get(CONFIG_MAPS, this.#ref());
      this.note(epoch, Number(found?.data?.['epoch'] ?? 0));
      if (found && Number(found.data?.['epoch']) === epoch) break;
      if (await this.#raise(epoch, found)) break;
      if (conflicts === MAX_CONFLICTS) throw new Refusal({ outcome: 'stale_epoch', seenEpoch: epoch });
    }
    this.#raised = epoch;
  }

  /** An object carries an epoch. */
  note(epoch: number, seen: number): void {
    this.#seen = Math.max(this.#seen, seen);
    if (epoch < this.#seen) throw new Refusal({ outcome: 'stale_epoch', seenEpoch: this.#seen });
    this.#seen = epoch;
  }

  /** False if somebody else wrote meanwhile. */
  async #raise(epoch: number, found: ConfigMap | null): Promise<boolean> {
    const { api, installation } = this.#deps;
    const precondition = found ? { uid: found.metadata.uid, resourceVersion: found.metadata.resourceVersion } : {};
    const annotations = { [ANNOTATIONS.epoch]: String(epoch) };
    const metadata = { ...this.#ref(), labels: installationLabels(installation), annotations, ...precondition };
    const manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { epoch: String(epoch) } };
    try {
      await api.apply(CONFIG_MAPS, manifest);
      // Two that both found none may both have made it: the look that follows tells who was last.
      return found !== null;
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      if (error.status === 409) return false;
      if (error.status !== 404) throw error;
      await this.#makeNamespace();
      return false;
    }
  }

  async #makeNamespace(): Promise<void> {
    const { api, installation, namespace } = this.#deps;
    const metadata = { name: namespace, labels: installationLabels(installation) };
    await api.apply(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata });
  }

  #ref(): { readonly namespace: string; readonly name: string } {
    const { installation, namespace, of } = this.#deps;
    return { namespace, name: `purser-${of === undefined ? '' : `${of}-`}fence-${installation}`.slice(0, 253) };
  }
}
