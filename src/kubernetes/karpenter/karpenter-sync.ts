import type { Random } from '../../kernel/random.ts';
import { Loop } from '../../reconcile/loop.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { KubernetesError, NO_SUCH_RESOURCE } from '../api/errors.ts';
import type { KubernetesApi } from '../api/kubernetes-api.ts';
import type { KubernetesManifest, KubernetesObject } from '../api/objects.ts';
import { NODE_OVERLAYS, NODE_POOLS, type Resource } from '../api/resource.ts';
import { isAsWanted } from '../workloads/owned-fields.ts';
import type { KarpenterPool, KarpenterPools, MachinePrice } from './karpenter-pools.port.ts';
import {
  INSTALLATION_LABEL,
  makeNodeOverlays,
  makeNodePool,
  nodePoolName,
  readSettings,
  type KarpenterSettings,
} from './make-karpenter-objects.ts';

/** How often pools and prices are read. Higher: a changed price acts later; lower: the API is asked for nothing. */
const EVERY_MS = 30_000;
const FIELD_MANAGER = 'purser-operator';

export interface KarpenterSyncDeps {
  readonly api: KubernetesApi;
  readonly pools: KarpenterPools;
  readonly random: Random;
  readonly logger: Logger;
}

interface ReadPool {
  readonly pool: KarpenterPool;
  readonly settings: KarpenterSettings;
}

interface Wanted {
  readonly wanted: readonly KubernetesManifest[];
  /** Stays although it is not wanted, by its name. */
  readonly isKept: (name: string) => boolean;
}

/**
 * Keeps Karpenter's NodePools and NodeOverlays as the pools and prices of the API are. Only objects with the label of this installation are
 * touched; while the API does not answer, or does not show the cluster, everything stays. A cluster without Karpenter is left alone.
 */
export class KarpenterSync {
  readonly #deps: KarpenterSyncDeps;
  readonly #loop: Loop;
  /** What was last said of pools that cannot be read. */
  #complaints = '';

  constructor(deps: KarpenterSyncDeps) {
    this.#deps = deps;
    this.#loop = new Loop({ ...deps, name: 'karpenter', everyMs: EVERY_MS, body: (signal) => this.#pass(signal) });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const seen = await this.#deps.pools.pools();
    if (!seen) return;
    const { installation, pools: told } = seen;
    const all = told.map((pool) => ({ pool, settings: readSettings(pool) }));
    this.#complain(all.flatMap(({ settings }) => (settings.ok ? [] : [settings.error])).join(' '));
    const pools = all.flatMap(({ pool, settings }) => (settings.ok ? [{ pool, settings: settings.value }] : []));
    const overlays = makeNodeOverlays(installation, await this.#prices(pools));
    const unread = all.flatMap(({ pool, settings }) => (settings.ok ? [] : [nodePoolName(installation, pool)]));
    signal.throwIfAborted();
    // A pool never rents before its prices are there; one that cannot be read stays as it was, with its prices.
    await this.#make(installation, NODE_OVERLAYS, { wanted: overlays, isKept: () => unread.length > 0 });
    const nodePools = pools.map(({ pool, settings }) => makeNodePool(installation, pool, settings));
    await this.#make(installation, NODE_POOLS, { wanted: nodePools, isKept: (name) => unread.includes(name) });
  }

  #complain(complaints: string): void {
    if (complaints !== '' && complaints !== this.#complaints)
      this.#deps.logger.warn({ complaints }, 'a pool cannot be told to Karpenter');
    this.#complaints = complaints;
  }

  async #prices(pools: readonly ReadPool[]): Promise<MachinePrice[]> {
    const prices: MachinePrice[] = [];
    for (const [region, some] of Map.groupBy(pools, ({ settings }) => settings.region)) {
      const types = new Set(some.flatMap(({ settings }) => settings.instanceTypes));
      prices.push(...(await this.#deps.pools.prices(region, [...types].sort())));
    }
    return prices;
  }

  async #make(installation: string, resource: Resource, { wanted, isKept }: Wanted): Promise<void> {
    const { api, logger } = this.#deps;
    const there = await this.#there(installation, resource);
    if (there === null) {
      if (wanted.length > 0)
        logger.warn(
          { kind: resource.kind },
          'Karpenter is not installed here, or not open to the operator: its objects are not made',
        );
      return;
    }
    const differs = (object: KubernetesManifest): boolean => {
      const known = there.get(object.metadata.name);
      return known === undefined || !isAsWanted(object, known);
    };
    for (const object of wanted.filter(differs)) await this.#apply(resource, object);
    const names = new Set(wanted.map(({ metadata }) => metadata.name));
    const needless = [...there.values()].filter(({ metadata }) => !names.has(metadata.name) && !isKept(metadata.name));
    for (const { metadata } of needless.filter((object) => object.metadata.deletionTimestamp === undefined))
      await api.delete(resource, { name: metadata.name }, { uid: metadata.uid });
  }

  /** What somebody else wrote into an object stays theirs. */
  async #apply(resource: Resource, object: KubernetesManifest): Promise<void> {
    try {
      await this.#deps.api.apply(resource, object, { fieldManager: FIELD_MANAGER, force: false });
    } catch (error) {
      if (!(error instanceof KubernetesError) || error.status !== 409) throw error;
      this.#deps.logger.warn(
        { err: error, kind: resource.kind, object: object.metadata.name },
        'an object of Karpenter is another owner’s',
      );
    }
  }

  /** Null = the cluster does not know this kind, or does not let the operator see it. */
  async #there(installation: string, resource: Resource): Promise<Map<string, KubernetesObject> | null> {
    const labelSelector = `${INSTALLATION_LABEL}=${installation}`;
    try {
      const { items } = await this.#deps.api.list(resource, { labelSelector });
      return new Map(items.map((object) => [object.metadata.name, object]));
    } catch (error) {
      if (error instanceof KubernetesError && (error.reason === NO_SUCH_RESOURCE || error.status === 403)) return null;
      throw error;
    }
  }
}
