import type { ApplyResult } from '../../deployments/cluster.port.ts';
import type { ClusterCaches } from '../cluster-caches.ts';
import type { ManifestSettings } from '../manifests/manifest-settings.ts';
import type { EpochFence } from './epoch-fence.ts';
import type { ObjectWriter } from './object-writer.ts';
import { leftoversIn } from './leftovers.ts';

export interface SharedTidierDeps {
  readonly caches: ClusterCaches;
  readonly fence: EpochFence;
  readonly objects: ObjectWriter;
  readonly settings: ManifestSettings;
}

/** Removes what projects and teams had in common once nothing of theirs is left. */
export class SharedTidier {
  readonly #deps: SharedTidierDeps;

  constructor(deps: SharedTidierDeps) {
    this.#deps = deps;
  }

  /** Throws `Refusal` and what the API throws. */
  async tidy(projects: ReadonlySet<string>, epoch: number): Promise<ApplyResult> {
    const { caches, fence, objects, settings } = this.#deps;
    const leftovers = leftoversIn(caches, settings, projects);
    if (leftovers.length === 0) return { outcome: 'unchanged' };
    await fence.confirm(epoch);
    let removed = false;
    for (const { resource, object } of leftovers) removed = (await objects.remove(resource, object, epoch)) || removed;
    return { outcome: removed ? 'applied' : 'unchanged' };
  }
}
