import { expect } from 'vitest';
import type { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import type { ConfigMap } from '../../src/kubernetes/api/objects.ts';
import { CONFIG_MAPS, NAMESPACES } from '../../src/kubernetes/api/resource.ts';
import { ResourceCache, type CacheLimits } from '../../src/kubernetes/watch/resource-cache.ts';
import type { Change } from '../../src/kubernetes/watch/resource-state.ts';
import { eventually } from './eventually.ts';
import { onList, onWatch } from './fault-proxy.ts';
import { clock, configMap, openProxiedApi, random, type ProxiedApi } from './kubernetes-world.ts';
import { quietLogger } from './quiet-logger.ts';

/** Quick enough for a test; the product's own are tens of seconds. */
export const QUICK: CacheLimits = { resyncMs: 120_000, watchMs: 60_000, graceMs: 1_000, backoff: { baseMs: 50, maxMs: 400 } };

export interface Watched {
  readonly cache: ResourceCache<ConfigMap>;
  /** `added a`, `changed a`, `deleted a`, as they were told. */
  readonly told: string[];
  /** Name → `data.value`. */
  values(): Record<string, string>;
  /** Resolves when the cache holds just this. */
  is(wanted: Record<string, string>): Promise<void>;
}

/** The ConfigMaps of a namespace of its own: written to the server directly, watched through a fault proxy. */
export class WatchedConfigMaps {
  readonly namespace: string;
  /** Through the proxy. */
  readonly world: ProxiedApi;
  readonly #direct: ProxiedApi;
  readonly #caches: ResourceCache<ConfigMap>[] = [];

  private constructor(namespace: string, world: ProxiedApi, direct: ProxiedApi) {
    this.namespace = namespace;
    this.world = world;
    this.#direct = direct;
  }

  static async open(kubeconfig: string, namespace: string): Promise<WatchedConfigMaps> {
    const world = await openProxiedApi(kubeconfig);
    const direct = await openProxiedApi(kubeconfig);
    await direct.api.apply(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    return new WatchedConfigMaps(namespace, world, direct);
  }

  put(name: string, value: string): Promise<ConfigMap> {
    return this.#direct.api.apply(CONFIG_MAPS, configMap(this.namespace, name, { value }));
  }

  remove(name: string): Promise<boolean> {
    return this.#direct.api.delete(CONFIG_MAPS, { namespace: this.namespace, name });
  }

  lists(): number {
    return this.world.proxy.seen.filter(onList).length;
  }

  watches(): number {
    return this.world.proxy.seen.filter(onWatch).length;
  }

  /** A cache of them, started. */
  watched(limits: Partial<CacheLimits> = {}, api: KubernetesApi = this.world.api): Watched {
    const cache = new ResourceCache<ConfigMap>({
      api,
      resource: CONFIG_MAPS,
      selection: { namespace: this.namespace },
      project: (object) => object,
      ...{ clock, random, logger: quietLogger },
      limits: { ...QUICK, ...limits },
    });
    const told: string[] = [];
    cache.onChange((changes: readonly Change<ConfigMap>[]) => {
      told.push(...changes.map(({ kind, object }) => `${kind} ${object.metadata.name}`));
    });
    cache.start();
    this.#caches.push(cache);
    const values = (): Record<string, string> =>
      Object.fromEntries([...cache.items().values()].map(({ metadata, data }) => [metadata.name, data?.['value'] ?? '']));
    return { cache, told, values, is: (wanted) => eventually(() => expect(values()).toEqual(wanted)) };
  }

  async close(): Promise<void> {
    for (const cache of this.#caches) await cache.stop();
    await this.world.close();
    await this.#direct.close();
  }
}
