import type { Random } from '../../kernel/random.ts';
import { KubernetesError } from '../api/errors.ts';
import { FIELD_MANAGER, type KubernetesApi } from '../api/kubernetes-api.ts';
import type { KubernetesManifest, KubernetesObject } from '../api/objects.ts';
import type { Resource } from '../api/resource.ts';
import type { EpochFence } from './epoch-fence.ts';
import { ANNOTATIONS } from '../manifests/names.ts';
import { isAsWanted } from './owned-fields.ts';
import { refusal, type Refusal } from './refusal.ts';
import { epochOf } from './told-spec.ts';
import { heldOf, isForeign, type Wanted } from '../manifests/wanted-objects.ts';

/** Writes that meet another writer's. Higher: a storm is fought for longer; lower: a busy object counts as fought over. */
const MAX_CONFLICTS = 6;
/** Longest pause between them, in ms; it grows to there. */
const MAX_PAUSE_MS = 400;

export interface ObjectWriterDeps {
  readonly api: KubernetesApi;
  readonly fence: EpochFence;
  readonly installation: string;
  readonly random: Random;
}

export interface PutOptions {
  readonly epoch: number;
  /** True: what was last seen is not believed. */
  readonly fresh: boolean;
  /** Looks at the object before it is changed; throws to leave it. */
  readonly check?: (live: KubernetesObject) => void;
  /** The manifest for the object as it is; null = there is none. */
  readonly shape?: (live: KubernetesObject | null) => KubernetesManifest;
}

/**
 * Makes objects as wanted by server-side apply, fenced: what carries a higher epoch is left alone, and nothing is changed that somebody
 * else changed since it was read.
 */
export class ObjectWriter {
  readonly #deps: ObjectWriterDeps;

  constructor(deps: ObjectWriterDeps) {
    this.#deps = deps;
  }

  /** True if something was written. Throws `Refusal` and what the API throws. */
  async put(wanted: Wanted, options: PutOptions): Promise<boolean> {
    let live: KubernetesObject | null = null;
    for (let conflicts = 0; conflicts <= MAX_CONFLICTS; conflicts += 1) {
      if (conflicts > 0) await this.#pause(conflicts);
      live = await this.#live(wanted, options.fresh || conflicts > 0);
      const manifest = this.#due(wanted, live, options);
      if (!manifest) return false;
      try {
        wanted.cache.note(await this.#deps.api.apply(wanted.resource, preconditioned(manifest, live, options.epoch)));
        return true;
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    }
    throw foughtOver(wanted.resource, live ?? wanted.manifest);
  }

  /** What is to be written over the object as it is; null = nothing. */
  #due(wanted: Wanted, live: KubernetesObject | null, options: PutOptions): KubernetesManifest | null {
    if (live && wanted.shared === 'by_all') return null;
    if (live) this.#check(wanted, live, options);
    const manifest = options.shape?.(live) ?? wanted.manifest;
    return live && isAsWanted(manifest, live) ? null : manifest;
  }

  /** Deletes the object as it was read; false = it was gone. */
  async remove(resource: Resource, seen: KubernetesObject, epoch: number): Promise<boolean> {
    let live: KubernetesObject | null = seen;
    const ref = { namespace: seen.metadata.namespace ?? null, name: seen.metadata.name };
    for (let conflicts = 0; ; conflicts += 1) {
      if (live?.metadata.uid !== seen.metadata.uid) return false;
      this.#deps.fence.note(epoch, epochOf(live));
      const { uid, resourceVersion } = live.metadata;
      try {
        return await this.#deps.api.delete(resource, ref, { uid, resourceVersion, propagation: 'Background' });
      } catch (error) {
        if (!isConflict(error)) throw error;
        if (conflicts === MAX_CONFLICTS) throw foughtOver(resource, live);
        await this.#pause(conflicts);
        live = await this.#deps.api.get(resource, ref);
      }
    }
  }

  /** What belongs to one workload has a name that nobody else comes to: it is not asked for where it was not seen. */
  async #live(wanted: Wanted, fresh: boolean): Promise<KubernetesObject | null> {
    const held = fresh ? undefined : heldOf(wanted);
    if (held) return held;
    const { kind, metadata } = wanted.manifest;
    if (!fresh && wanted.shared === 'with_nobody' && kind !== 'Deployment') return null;
    return this.#deps.api.get(wanted.resource, { namespace: metadata.namespace ?? null, name: metadata.name });
  }

  #check(wanted: Wanted, live: KubernetesObject, { epoch, check }: PutOptions): void {
    const { installation, fence } = this.#deps;
    if (isForeign(installation, live, wanted)) throw taken(wanted.manifest, installation);
    fence.note(epoch, epochOf(live));
    check?.(live);
  }

  #pause(conflicts: number): Promise<void> {
    const ms = Math.min(MAX_PAUSE_MS, 25 * 2 ** conflicts) * (0.5 + this.#deps.random.fraction() / 2);
    return new Promise((resolve) => setTimeout(resolve, ms));
  }
}

/** The object as read is a precondition: another state, or none any more, is a conflict. */
export function preconditioned(manifest: KubernetesManifest, live: KubernetesObject | null, epoch: number): KubernetesManifest {
  const precondition = live ? { uid: live.metadata.uid, resourceVersion: live.metadata.resourceVersion } : {};
  const annotations = { ...manifest.metadata.annotations, [ANNOTATIONS.epoch]: String(epoch) };
  return { ...manifest, metadata: { ...manifest.metadata, ...precondition, annotations } };
}

export const isConflict = (error: unknown): boolean => error instanceof KubernetesError && error.status === 409;

function taken({ kind, metadata }: KubernetesManifest, installation: string): Refusal {
  const name = nameOf(metadata);
  const act = `Label it purser.dev/installation=${installation} to hand it over, or choose another name.`;
  return refusal('NAME_TAKEN', `The ${kind} ${name} exists and is not of this installation. ${act}`);
}

function foughtOver({ kind }: Resource, { metadata }: KubernetesObject | KubernetesManifest): Refusal {
  const managers = 'managedFields' in metadata ? (metadata.managedFields ?? []).map(({ manager }) => manager) : [];
  const others = [...new Set(managers)].filter((manager) => manager !== undefined && manager !== FIELD_MANAGER);
  const who = others.length > 0 ? ` Writers beside Purser: ${others.join(', ')}.` : '';
  const name = nameOf(metadata);
  return refusal(
    'WRITE_CONFLICTS',
    `Somebody keeps changing the ${kind} ${name}: ${MAX_CONFLICTS + 1} changes in a row met another.${who}`,
  );
}

const nameOf = ({ namespace, name }: { readonly namespace?: string; readonly name: string }): string =>
  namespace === undefined ? name : `${namespace}/${name}`;
