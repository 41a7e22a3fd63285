import type { Clock } from '../../kernel/clock.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { Random } from '../../kernel/random.ts';
import { backoffMs } from '../../reconcile/backoff.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { KubernetesError, KubernetesUnreachable } from '../api/errors.ts';
import type { KubernetesApi } from '../api/kubernetes-api.ts';
import type { KubernetesObject } from '../api/objects.ts';
import type { Resource } from '../api/resource.ts';
import type { RawObject, WatchEvent } from '../api/watch-event.ts';
import {
  commit,
  emptyState,
  nameKey,
  planEvent,
  planList,
  withNoted,
  type Change,
  type Held,
  type Step,
} from './resource-state.ts';

export interface CacheLimits {
  /** Everything is listed anew this often, give or take a fifth, so that lost events are found. Higher: found later; lower: more load. */
  readonly resyncMs: number;
  /** The server is asked to end a watch after this time, give or take a fifth; it goes on from there. Higher: a stall is noticed later; lower: more requests. */
  readonly watchMs: number;
  /** A watch that outlives its time by this much without a byte is dead. Higher: noticed later; lower: slow servers are cut. */
  readonly graceMs: number;
  /** Waits after failures in a row. Higher: a mended server is noticed later; lower: a broken one is hammered. */
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
}

export const CACHE_LIMITS: CacheLimits = {
  resyncMs: 300_000,
  watchMs: 30_000,
  graceMs: 10_000,
  backoff: { baseMs: 200, maxMs: 15_000 },
};

/** A failure this long after the last one is a new trouble. */
const NEW_TROUBLE_MS = 60_000;
/** A watch that the server ends sooner than this, without an event, is a failure: else it would be asked again at once, for ever. */
const SHORTEST_WATCH_MS = 500;
/** A server that asks for a longer pause is asked after this one. */
const MAX_RETRY_AFTER_MS = 60_000;

export interface ResourceCacheOptions<R extends KubernetesObject, T extends Held> {
  readonly api: Pick<KubernetesApi, 'listProjected' | 'watch'>;
  readonly resource: Resource<R>;
  readonly selection?: { readonly namespace?: string | null; readonly labelSelector?: string; readonly fieldSelector?: string };
  /** What is held of an object; null = it is not held. Pure. Keep it small: thousands of objects stay in memory. */
  readonly project: (object: R) => T | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: Partial<CacheLimits>;
}

/** How much the held state is worth. */
export interface Freshness {
  /** When the last complete list was taken in; null = never: nothing is known yet. */
  readonly syncedAt: Instant | null;
  /** When the server last said anything on this subject: a list, an event, a bookmark. */
  readonly heardAt: Instant | null;
  /** What keeps the state from being kept up now; null = nothing. It ends with the next complete list. */
  readonly error: Error | null;
  /** Since when `error` has been there without a break. */
  readonly troubledSince: Instant | null;
}

export type ChangeListener<T extends Held> = (changes: readonly Change<T>[]) => void;

/**
 * All objects of a kind as the API server has them: listed, then watched, listed again after every break and now and then without one.
 * Holds the last complete state while the server is away; `freshness` says what it is worth. Never shows a part of a list.
 */
export class ResourceCache<R extends KubernetesObject, T extends Held = R> {
  readonly #options: ResourceCacheOptions<R, T>;
  readonly #limits: CacheLimits;
  readonly #state = emptyState<T>();
  readonly #listeners = new Set<ChangeListener<T>>();
  readonly #firstSync = Promise.withResolvers<undefined>();
  /** Ends the present list or watch. */
  #turn = new AbortController();
  #stopped = false;
  #running: Promise<void> | null = null;
  #interrupt: (() => void) | null = null;
  #syncedAt: Instant | null = null;
  #heardAt: Instant | null = null;
  #trouble: { readonly error: Error; readonly since: Instant } | null = null;
  /** Noted while a list is under way, which may be of the time before; null = none is. */
  #noted: T[] | null = null;
  #failures = 0;
  #failedAt: Instant | null = null;

  constructor(options: ResourceCacheOptions<R, T>) {
    this.#options = options;
    this.#limits = { ...CACHE_LIMITS, ...options.limits };
    // Nobody may wait for it.
    this.#firstSync.promise.catch(() => undefined);
  }

  /** Calling it again does nothing. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is under way; what is held stays readable. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#turn.abort(new Error('the cache was stopped'));
    this.#interrupt?.();
    this.#firstSync.reject(new Error('the cache was stopped before it was complete'));
    await this.#running;
  }

  /** Resolves with the first complete list; rejects only when the cache is stopped before that. */
  synced(): Promise<void> {
    return this.#firstSync.promise;
  }

  /** By `namespace/name` (`nameKey`). The map is live: read it in one go. */
  items(): ReadonlyMap<string, T> {
    return this.#state.byName;
  }

  get(namespace: string | null, name: string): T | undefined {
    return this.#state.byName.get(nameKey(namespace, name));
  }

  byUid(uid: string): T | undefined {
    return this.#state.byUid.get(uid);
  }

  freshness(): Freshness {
    const { error = null, since: troubledSince = null } = this.#trouble ?? {};
    return { syncedAt: this.#syncedAt, heardAt: this.#heardAt, error, troubledSince };
  }

  /** The listener hears every change once, after it is in the state, and may not throw. Returns how to end it. */
  onChange(listener: ChangeListener<T>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Takes in what a write answered, so that it is seen before the watch tells it. Only for objects that the selection covers; an older
   * state than the one held changes nothing.
   */
  note(object: R): void {
    const held = this.#options.project(object);
    if (held) this.#noted?.push(held);
    if (this.#syncedAt !== null) this.#publish([this.#takeIn('MODIFIED', object)]);
  }

  /** Lists anew as soon as possible. */
  resync(): void {
    this.#turn.abort(new ResyncAsked());
    this.#interrupt?.();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#turn = new AbortController();
      try {
        await this.#listAndWatch(this.#turn.signal);
      } catch (error) {
        if (this.#isStopped()) return;
        if (!(error instanceof ResyncAsked)) await this.#failed(error as Error);
      }
    }
  }

  /** Read through a method: the compiler does not see that it changes while we wait. */
  #isStopped(): boolean {
    return this.#stopped;
  }

  async #listAndWatch(signal: AbortSignal): Promise<void> {
    const { api, resource, selection, project, clock } = this.#options;
    this.#noted = [];
    const list = await api.listProjected(resource, { ...selection, signal }, (raw) => project(readAs<R>(raw)));
    this.#listed(withNoted(list.items, this.#noted, list.resourceVersion));
    const until = clock.now() + this.#giveOrTake(this.#limits.resyncMs);
    for (let from = list.resourceVersion; clock.now() < until;) from = await this.#watch(from, signal);
  }

  /** Caches that were started together, here and in other processes, do not ask together for ever. */
  #giveOrTake(ms: number): number {
    return Math.round(ms * (0.8 + 0.4 * this.#options.random.fraction()));
  }

  #listed(items: readonly T[]): void {
    const now = this.#options.clock.now();
    const step = planList(this.#state, items, now);
    commit(this.#state, step);
    this.#noted = null;
    this.#syncedAt = this.#heardAt = now;
    this.#trouble = null;
    this.#publish([step]);
    this.#firstSync.resolve(undefined);
  }

  /** Watches until the server ends it in good order; answers the version to go on from. */
  async #watch(from: string, signal: AbortSignal): Promise<string> {
    const { api, resource, selection, clock } = this.#options;
    const began = clock.now();
    const timeoutSeconds = Math.max(1, Math.round(this.#giveOrTake(this.#limits.watchMs) / 1000));
    const silenceMs = timeoutSeconds * 1000 + this.#limits.graceMs;
    let version = from;
    for await (const events of api.watch(resource, { ...selection, resourceVersion: from, timeoutSeconds, silenceMs, signal })) {
      this.#heardAt = clock.now();
      version = events.reduce((_, event) => versionAfter(event), version);
      this.#publish(
        events.flatMap((event) => (event.type === 'BOOKMARK' ? [] : [this.#takeIn(event.type, readAs<R>(event.object))])),
      );
    }
    this.#heardAt = clock.now();
    if (version === from && this.#heardAt - began < SHORTEST_WATCH_MS)
      throw new KubernetesUnreachable('connection', `the watch of ${resource.plural} ended as soon as it began`);
    return version;
  }

  #takeIn(type: 'ADDED' | 'MODIFIED' | 'DELETED', raw: R): Step<T> {
    const object = this.#options.project(raw);
    const known = this.#state.byUid.get(raw.metadata.uid);
    // What is no longer held is gone for us, as it was last held.
    const event = object ? { type, object } : known ? { type: 'DELETED' as const, object: known } : null;
    if (!event) return { changes: [], deletion: null };
    const step = planEvent(this.#state, event, this.#options.clock.now());
    commit(this.#state, step);
    return step;
  }

  #publish(steps: readonly Step<T>[]): void {
    const changes = steps.flatMap((step) => step.changes);
    if (changes.length === 0) return;
    for (const listener of this.#listeners) {
      try {
        listener(changes);
      } catch (error) {
        this.#options.logger.error(
          { err: error, resource: this.#options.resource.plural },
          'a listener of a Kubernetes cache threw',
        );
      }
    }
  }

  async #failed(error: Error): Promise<void> {
    const { clock, random, logger, resource } = this.#options;
    const now = clock.now();
    const isNew = this.#failedAt === null || now - this.#failedAt > NEW_TROUBLE_MS;
    this.#failures = isNew ? 1 : this.#failures + 1;
    this.#failedAt = now;
    this.#noted = null;
    // A version that is too old is no trouble of the server: the state is as good as before until the list is there.
    const expired = error instanceof KubernetesError && error.status === 410;
    if (!expired) this.#trouble = { error, since: this.#trouble?.since ?? now };
    logger.warn(
      { resource: resource.plural, failures: this.#failures, error: error.message },
      'watching a Kubernetes resource failed',
    );
    const asked = error instanceof KubernetesError ? Math.min(error.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS) : 0;
    await this.#pause(Math.max(asked, backoffMs(this.#failures, this.#limits.backoff, random)));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#interrupt = null;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#interrupt = done;
      if (this.#stopped) done();
    });
  }
}

class ResyncAsked extends Error {
  override readonly name = 'ResyncAsked';
}

const versionAfter = (event: WatchEvent): string =>
  event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion;

/** Its identity was checked; what else is read of it is checked where it decides something. */
const readAs = <R extends KubernetesObject>(raw: RawObject): R => raw as KubernetesObject as R;
