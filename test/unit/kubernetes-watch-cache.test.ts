// A cache on a small server in memory, which the test plays by hand: what is asked for, held, told and ended, without a network.
import { describe, expect, it } from 'vitest';
import { KubernetesError } from '../../src/kubernetes/api/errors.ts';
import type { ListOf, Selection, WatchOptions } from '../../src/kubernetes/api/kubernetes-api.ts';
import type { ConfigMap } from '../../src/kubernetes/api/objects.ts';
import { CONFIG_MAPS, type Resource } from '../../src/kubernetes/api/resource.ts';
import type { RawObject, WatchEvent } from '../../src/kubernetes/api/watch-event.ts';
import { ResourceCache, type CacheLimits } from '../../src/kubernetes/watch/resource-cache.ts';
import type { Change } from '../../src/kubernetes/watch/resource-state.ts';
import { eventually } from '../support/eventually.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const object = (name: string, version: number, data: Record<string, string> = {}) => ({
  metadata: { namespace: 'team', name, uid: `uid-${name}`, resourceVersion: String(version) },
  data,
});

/** Lists what it is given; a watch gives what the test sends and ends when the test says so. */
class PlayedApi {
  readonly asked: string[] = [];
  items: RawObject[] = [];
  version = 10;
  /** Lists wait for this. */
  gate: Promise<unknown> = Promise.resolve();
  #send: ((events: readonly WatchEvent[] | Error | null) => void) | null = null;

  async listProjected<T>(_resource: Resource, { signal }: Selection, project: (raw: RawObject) => T | null): Promise<ListOf<T>> {
    this.asked.push('list');
    const [items, resourceVersion] = [this.items, String(this.version)];
    await Promise.race([this.gate, aborted(signal)]);
    return { items: items.map(project).filter((item) => item !== null), resourceVersion };
  }

  async *watch(_resource: Resource, { resourceVersion, signal }: WatchOptions): AsyncGenerator<readonly WatchEvent[]> {
    this.asked.push(`watch ${resourceVersion}`);
    for (;;) {
      const next = Promise.withResolvers<readonly WatchEvent[] | Error | null>();
      this.#send = next.resolve;
      const events = await Promise.race([next.promise, aborted(signal)]);
      if (events === null) return;
      if (events instanceof Error) throw events;
      yield events;
    }
  }

  /** Null ends the watch in good order, an error breaks it. */
  async send(events: readonly WatchEvent[] | Error | null): Promise<void> {
    await eventually(() => this.#send !== null);
    const send = this.#send;
    this.#send = null;
    send?.(events);
  }
}

const aborted = (signal: AbortSignal | undefined): Promise<never> =>
  new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason as Error);
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });

const LIMITS: CacheLimits = { resyncMs: 60_000, watchMs: 30_000, graceMs: 1_000, backoff: { baseMs: 5, maxMs: 20 } };

function open(api: PlayedApi, project: (object: ConfigMap) => ConfigMap | null = (held) => held) {
  let now = 1_000_000;
  const random = { bytes: (count: number) => new Uint8Array(count), fraction: () => 0.5 };
  const clock = { now: () => now };
  const cache = new ResourceCache<ConfigMap>({
    api,
    resource: CONFIG_MAPS,
    project,
    clock,
    random,
    logger: quietLogger,
    limits: LIMITS,
  });
  const told: string[] = [];
  const tell = (changes: readonly Change<ConfigMap>[]): void => {
    told.push(...changes.map(({ kind, object: { metadata } }) => `${kind} ${metadata.name}@${metadata.resourceVersion}`));
  };
  const leave = cache.onChange(tell);
  cache.start();
  return { cache, told, leave, pass: (ms: number) => (now += ms) };
}

const event = (type: 'ADDED' | 'MODIFIED' | 'DELETED', of: RawObject): WatchEvent => ({ type, object: of });
const BOOKMARK: WatchEvent = { type: 'BOOKMARK', resourceVersion: '50' };

describe('Cluster adapter: a cache asks for', () => {
  it('a list, then a watch from there, which goes on from the last event or bookmark as long as it ends well', async () => {
    const api = new PlayedApi();
    const { cache, pass } = open(api);
    await cache.synced();
    await api.send([event('ADDED', object('a', 12))]);
    await api.send(null);
    await eventually(() => api.asked.length === 3);
    await api.send([BOOKMARK]);
    await api.send(null);
    await eventually(() => api.asked.length === 4);
    pass(60_000);
    await api.send([BOOKMARK]);
    await api.send(null);
    await eventually(() => api.asked.length === 6);
    expect(api.asked).toEqual(['list', 'watch 10', 'watch 12', 'watch 50', 'list', 'watch 10']);
    await cache.stop();
  });

  it('a list after an error, and after a resync is asked for, also while it waits to try again', async () => {
    const api = new PlayedApi();
    const { cache } = open(api);
    await cache.synced();
    const status = { reason: 'InternalError', message: 'away', retryAfterMs: 3_600_000, causes: [], objectName: null };
    await api.send(new KubernetesError({ ...status, status: 503 }));
    await eventually(() => cache.freshness().error !== null);
    expect(cache.freshness()).toMatchObject({ error: { message: 'away' }, troubledSince: 1_000_000 });
    cache.resync();
    await eventually(() => api.asked.length === 4);
    expect([api.asked, cache.freshness().error]).toEqual([['list', 'watch 10', 'list', 'watch 10'], null]);
    cache.resync();
    await eventually(() => api.asked.length === 6);
    await cache.stop();
  });

  it('nothing any more once it is stopped, whatever it was doing', async () => {
    const listing = new PlayedApi();
    listing.gate = new Promise(() => undefined);
    const first = open(listing);
    await eventually(() => listing.asked.length === 1);
    await first.cache.stop();
    await expect(first.cache.synced()).rejects.toThrow('stopped before it was complete');

    const watching = new PlayedApi();
    const second = open(watching);
    await second.cache.synced();
    await eventually(() => watching.asked.length === 2);
    await second.cache.stop();
    await second.cache.synced();

    const waiting = new PlayedApi();
    const third = open(waiting);
    await third.cache.synced();
    await waiting.send(
      new KubernetesError({ status: 429, reason: '', message: '', retryAfterMs: 3_600_000, causes: [], objectName: null }),
    );
    await eventually(() => third.cache.freshness().error !== null);
    await third.cache.stop();
    expect([listing.asked.length, watching.asked.length, waiting.asked.length]).toEqual([1, 2, 2]);
  });
});

describe('Cluster adapter: a cache holds', () => {
  it('what its projection lets through; what it lets through no more is gone as it was last held', async () => {
    const api = new PlayedApi();
    api.items = [object('a', 1, { hold: 'yes' }), object('b', 2)];
    const { cache, told } = open(api, (held) => (held.data?.['hold'] === 'yes' ? { metadata: held.metadata } : null));
    await cache.synced();
    await api.send([event('MODIFIED', object('a', 11)), event('MODIFIED', object('b', 12)), event('DELETED', object('b', 13))]);
    await api.send([event('MODIFIED', object('a', 14, { hold: 'yes' }))]);
    await eventually(() => told.length === 3);
    expect(told).toEqual(['added a@1', 'deleted a@1', 'added a@14']);
    expect([cache.get('team', 'a'), cache.byUid('uid-a'), cache.items().size]).toEqual([
      { metadata: object('a', 14).metadata },
      { metadata: object('a', 14).metadata },
      1,
    ]);
    await cache.stop();
  });

  it('what a write answered while an older list was under way', async () => {
    const api = new PlayedApi();
    const { cache, told } = open(api);
    await cache.synced();
    const gate = Promise.withResolvers<null>();
    api.gate = gate.promise;
    cache.resync();
    await eventually(() => api.asked.includes('list') && api.asked.lastIndexOf('list') > 0);
    cache.note(object('new', 15));
    gate.resolve(null);
    await eventually(() => api.asked.length === 4);
    expect([cache.get('team', 'new')?.metadata.resourceVersion, told]).toEqual(['15', ['added new@15']]);
    await cache.stop();
  });
});

describe('Cluster adapter: a cache tells', () => {
  it('every listener, also when one throws; none that has left', async () => {
    const api = new PlayedApi();
    const { cache, told, leave } = open(api);
    const second: number[] = [];
    cache.onChange(() => {
      throw new Error('a listener in trouble');
    });
    cache.onChange((changes) => second.push(changes.length));
    await cache.synced();
    await api.send([event('ADDED', object('a', 11)), event('ADDED', object('b', 12))]);
    await eventually(() => second.length === 1);
    leave();
    await api.send([event('ADDED', object('c', 13))]);
    await eventually(() => second.length === 2);
    expect([second, told, api.asked, cache.freshness().error]).toEqual([
      [2, 1],
      ['added a@11', 'added b@12'],
      ['list', 'watch 10'],
      null,
    ]);
    await cache.stop();
  });
});
