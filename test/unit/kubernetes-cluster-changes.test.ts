// The adapter on an API in memory, which the test plays by hand, with timers that stand still: what is told at once and what in a moment.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Credentials } from '../../src/kubernetes/api/credentials.ts';
import { KubernetesApi, type ListOf, type Selection, type WatchOptions } from '../../src/kubernetes/api/kubernetes-api.ts';
import type { Resource } from '../../src/kubernetes/api/resource.ts';
import type { RawObject, WatchEvent } from '../../src/kubernetes/api/watch-event.ts';
import { KubernetesCluster } from '../../src/kubernetes/kubernetes-cluster.adapter.ts';
import { eventually } from '../support/eventually.ts';
import { clock, random } from '../support/kubernetes-world.ts';
import { quietLogger } from '../support/quiet-logger.ts';

/** Everything is empty until the test sends something. */
class PlayedApi extends KubernetesApi {
  readonly #send = new Map<string, (events: readonly WatchEvent[]) => void>();

  constructor() {
    super({ credentials: new Credentials({ kind: 'in_cluster' }, clock), clock, random });
  }

  override listProjected<T>(
    _resource: Resource,
    _selection: Selection,
    _project: (raw: RawObject) => T | null,
  ): Promise<ListOf<T>> {
    return Promise.resolve({ items: [], resourceVersion: '1' });
  }

  override async *watch({ plural }: Resource, { signal }: WatchOptions): AsyncGenerator<readonly WatchEvent[]> {
    for (;;) {
      const next = Promise.withResolvers<readonly WatchEvent[]>();
      signal?.addEventListener('abort', () => next.reject(signal.reason as Error), { once: true });
      this.#send.set(plural, next.resolve);
      yield await next.promise;
    }
  }

  async send(plural: string, object: object): Promise<void> {
    await eventually(() => this.#send.has(plural));
    const send = this.#send.get(plural);
    this.#send.delete(plural);
    send?.([{ type: 'ADDED', object: object as RawObject }]);
    // Once it is taken in, the watch waits for more.
    await eventually(() => this.#send.has(plural));
  }
}

const named = (name: string, version: string) => ({
  metadata: { namespace: 'team', name, uid: `uid-${name}`, resourceVersion: version },
});

let api: PlayedApi;
let cluster: KubernetesCluster;
/** Resolved, as far as is known. */
let told: number;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  api = new PlayedApi();
  const settings = { installation: 'purser', namespacePrefix: 'purser', systemNamespace: 'purser-system' };
  const more = { modelServerImage: null, routerSources: { namespace: null, cidrs: [] } };
  cluster = new KubernetesCluster({ api, clock, random, logger: quietLogger, ...settings, ...more });
  cluster.start();
  await cluster.observe();
  told = 0;
});
afterEach(async () => {
  vi.useRealTimers();
  await cluster.stop();
  await api.close();
});

async function listen(): Promise<void> {
  void cluster.changed(new AbortController().signal).then(() => (told += 1));
  await Promise.resolve();
  expect(told).toBe(0);
}

describe('A Kubernetes cluster says that it changed', () => {
  it('at once where an endpoint changes: requests may go elsewhere from then on', async () => {
    await listen();
    await api.send('endpointslices', named('web-1', '2'));
    await eventually(() => told === 1);
  });

  it('in a moment and once for all else, such as the pod whose endpoint follows', async () => {
    await listen();
    await api.send('pods', named('web-1', '2'));
    await api.send('services', named('web', '3'));
    expect(told).toBe(0);
    vi.advanceTimersByTime(25);
    await eventually(() => told === 1);
  });

  it('not again for what was seen before it was told', async () => {
    await listen();
    await api.send('pods', named('web-1', '2'));
    await cluster.observe();
    await listen();
  });
});
