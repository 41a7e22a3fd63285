import type { KubernetesManifest, KubernetesObject } from './objects.ts';
import { Credentials, type ClusterAccess } from './credentials.ts';
import { KubernetesError, KubernetesUnreachable } from './errors.ts';
import { InFlight } from './in-flight.ts';
import { isObject } from './read-answer.ts';
import { apiVersionOf, pathOf, PODS, type ObjectRef, type Resource } from './resource.ts';
import { LineSplitter } from './split-lines.ts';
import { Transport, type TransportDeps } from './transport.ts';
import { checkObject, readWatchLine, versionOf, type RawObject, type WatchEvent } from './watch-event.ts';

/** The owner of every field that Purser writes, in `metadata.managedFields`. */
export const FIELD_MANAGER = 'purser';

/** How long calls may take, in ms. */
export interface CallTimeouts {
  /** One object. Higher: a stuck server holds a loop; lower: a busy one counts as unreachable. */
  readonly readMs: number;
  /** One page of a list; the server may take long for the first after its start. Higher and lower likewise. */
  readonly listMs: number;
  /** A write goes through admission webhooks, which may take 10 s each by default. Lower: slow webhooks look like an outage. */
  readonly writeMs: number;
  /** A text comes from a kubelet by way of the API server. */
  readonly textMs: number;
  /** Until a watch begins to answer. */
  readonly watchStartMs: number;
}

export const CALL_TIMEOUTS: CallTimeouts = {
  readMs: 10_000,
  listMs: 30_000,
  writeMs: 20_000,
  textMs: 20_000,
  watchStartMs: 20_000,
};

/** Objects of one page. Higher: the server and we hold more at a time; lower: more requests per resync. */
const PAGE_SIZE = 500;
/** Pages that are asked for and read at a time, of all lists. Higher: caches that list together need much memory for moments; lower: a slow list holds up others. */
const MAX_PAGES_AT_A_TIME = 2;
/** A list whose continuation has expired begins anew this often. Higher: a server that compacts all the time is asked for ever. */
const MAX_LIST_RESTARTS = 3;

export interface KubernetesApiDeps extends TransportDeps {
  readonly timeouts?: Partial<CallTimeouts>;
}

export interface Signalled {
  readonly signal?: AbortSignal | undefined;
}

export interface Selection extends Signalled {
  /** Null or absent = all namespaces. */
  readonly namespace?: string | null;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface WatchOptions extends Selection {
  /** Events after this one; from a list or a bookmark. */
  readonly resourceVersion: string;
  /** The server ends the watch after this time. */
  readonly timeoutSeconds: number;
  /** Without any byte for this long the watch is given up. */
  readonly silenceMs: number;
}

export interface ApplyOptions extends Signalled {
  /** Default true: takes over fields that another manager owns. False: a `Conflict` then. */
  readonly force?: boolean;
  readonly fieldManager?: string;
  /** For example `status`. */
  readonly subresource?: string;
}

export interface DeleteOptions extends Signalled {
  /** Preconditions: another object or another state is a `Conflict`, and stays. */
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagation?: 'Foreground' | 'Background' | 'Orphan';
  readonly gracePeriodSeconds?: number;
}

export interface ListOf<T> {
  readonly items: readonly T[];
  /** The state of the server that this list shows, whole. */
  readonly resourceVersion: string;
}

/**
 * The API of one cluster. Every method throws `KubernetesError` for what the server refuses, `KubernetesUnreachable` when it cannot be
 * talked to (a write may have had its effect then), or the signal's reason. Overload (429) is repeated a few times within seconds,
 * failed reads too; failed writes are not: whoever reconciles will come again.
 */
export class KubernetesApi {
  readonly #transport: Transport;
  readonly #credentials: Credentials;
  readonly #timeouts: CallTimeouts;
  readonly #pages = new InFlight(MAX_PAGES_AT_A_TIME);

  constructor({ timeouts, ...deps }: KubernetesApiDeps) {
    this.#transport = new Transport(deps);
    this.#credentials = deps.credentials;
    this.#timeouts = { ...CALL_TIMEOUTS, ...timeouts };
  }

  static of(access: ClusterAccess, deps: Omit<KubernetesApiDeps, 'credentials'>): KubernetesApi {
    return new KubernetesApi({ ...deps, credentials: new Credentials(access, deps.clock) });
  }

  /** Null = there is no such object; a kind that is not served throws (`NO_SUCH_RESOURCE`). Safe to repeat. */
  async get<T extends KubernetesObject>(resource: Resource<T>, ref: ObjectRef, options: Signalled = {}): Promise<T | null> {
    try {
      const json = await this.#transport.json({
        method: 'GET',
        path: pathOf(resource, ref),
        timeoutMs: this.#timeouts.readMs,
        ...options,
      });
      return objectOf<T>(json);
    } catch (error) {
      if (isAbsence(error, ref.name)) return null;
      throw error;
    }
  }

  /** All objects, never a part of them: a continuation that expired begins anew. Safe to repeat. */
  async list<T extends KubernetesObject>(resource: Resource<T>, selection: Selection = {}): Promise<ListOf<T>> {
    return this.listProjected(resource, selection, (raw) => raw as KubernetesObject as T);
  }

  /** Like `list`, but only `project` of each object is held (null: none), so that large objects do not pile up. */
  async listProjected<T>(resource: Resource, selection: Selection, project: (raw: RawObject) => T | null): Promise<ListOf<T>> {
    for (let restarts = 0; ; restarts += 1) {
      try {
        return await this.#listOnce(resource, selection, project);
      } catch (error) {
        const expired = error instanceof KubernetesError && error.status === 410;
        if (!expired || restarts >= MAX_LIST_RESTARTS) throw error;
      }
    }
  }

  /**
   * Events after `resourceVersion`, in batches as they arrive. Ends when the server ends it in good order; throws when it breaks, is silent
   * for too long, or the server reports an error (`status` 410: the version is too old).
   */
  async *watch(resource: Resource, options: WatchOptions): AsyncGenerator<readonly WatchEvent[]> {
    const { resourceVersion, timeoutSeconds, silenceMs, labelSelector, fieldSelector, namespace = null, signal } = options;
    const query = { watch: true, allowWatchBookmarks: true, resourceVersion, timeoutSeconds, labelSelector, fieldSelector };
    const path = pathOf(resource, { namespace });
    const answer = await this.#transport.open({ method: 'GET', path, query, timeoutMs: this.#timeouts.watchStartMs, signal });
    const silence = new KubernetesUnreachable('timeout', `the watch of ${resource.plural} was silent for ${silenceMs} ms`);
    const timer = setTimeout(() => answer.abort(silence), silenceMs);
    const lines = new LineSplitter();
    try {
      for await (const chunk of answer.body) {
        timer.refresh();
        const events = lines.push(chunk).map(readWatchLine);
        if (events.length > 0) yield events;
      }
      lines.end();
    } finally {
      clearTimeout(timer);
      answer.abort(new KubernetesUnreachable('connection', 'the watch was left'));
      answer.close();
    }
  }

  /**
   * Server-side apply: makes the given fields ours and as given, leaves all others alone. Answers the object as stored. A
   * `metadata.resourceVersion` in it is a precondition (409 `Conflict` otherwise). Repeating the same is without effect.
   */
  async apply<T extends KubernetesObject>(
    resource: Resource<T>,
    object: KubernetesManifest,
    options: ApplyOptions = {},
  ): Promise<T> {
    const { force = true, fieldManager = FIELD_MANAGER, subresource, signal } = options;
    const json = await this.#transport.json({
      method: 'PATCH',
      path: pathOf(resource, refOf(object), subresource),
      query: { fieldManager, force },
      body: { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind },
      contentType: 'application/apply-patch+yaml',
      timeoutMs: this.#timeouts.writeMs,
      signal,
    });
    return objectOf<T>(json);
  }

  /** Asks for a deletion; false = there was nothing to delete. Finalizers and grace periods take their time afterwards. Safe to repeat. */
  async delete(resource: Resource, ref: ObjectRef, options: DeleteOptions = {}): Promise<boolean> {
    const { uid, resourceVersion, propagation = 'Background', gracePeriodSeconds, signal } = options;
    const preconditions = {
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    };
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy: propagation,
      preconditions,
      ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    };
    try {
      await this.#transport.json({
        method: 'DELETE',
        path: pathOf(resource, ref),
        body,
        timeoutMs: this.#timeouts.writeMs,
        signal,
      });
      return true;
    } catch (error) {
      if (isAbsence(error, ref.name)) return false;
      throw error;
    }
  }

  /**
   * Asks a pod to leave within what its PodDisruptionBudget allows; false = it is gone already. A `KubernetesError` with
   * `heldByDisruptionBudget`: not now. Safe to repeat.
   */
  async evict(
    pod: ObjectRef & { readonly uid?: string },
    options: Signalled & { readonly gracePeriodSeconds?: number } = {},
  ): Promise<boolean> {
    const { gracePeriodSeconds, signal } = options;
    const deleteOptions = {
      ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
      ...(pod.uid === undefined ? {} : { preconditions: { uid: pod.uid } }),
    };
    const metadata = { name: pod.name, namespace: pod.namespace };
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata, deleteOptions };
    try {
      await this.#transport.json({
        method: 'POST',
        path: pathOf(PODS, pod, 'eviction'),
        body,
        timeoutMs: this.#timeouts.writeMs,
        signal,
      });
      return true;
    } catch (error) {
      if (isAbsence(error, pod.name)) return false;
      throw error;
    }
  }

  /** Any path as text, for logs. Safe to repeat. */
  text(
    path: string,
    options: Signalled & { readonly query?: Readonly<Record<string, string | number | boolean>> } = {},
  ): Promise<string> {
    return this.#transport.text({ method: 'GET', path, timeoutMs: this.#timeouts.textMs, ...options });
  }

  /** Any path as JSON object, unchecked: `/version`, a kubelet's `stats/summary`, OpenAPI. Safe to repeat. */
  json(path: string, options: Signalled = {}): Promise<Readonly<Record<string, unknown>>> {
    return this.#transport.json({ method: 'GET', path, timeoutMs: this.#timeouts.textMs, ...options });
  }

  /** Ends every connection, watches too. */
  close(): Promise<void> {
    return this.#credentials.close();
  }

  async #listOnce<T>(resource: Resource, selection: Selection, project: (raw: RawObject) => T | null): Promise<ListOf<T>> {
    const items: T[] = [];
    for (let after = ''; ;) {
      const page = await this.#page(resource, selection, { after, project });
      for (const item of page.items) items.push(item);
      after = page.after;
      if (after === '') return { items, resourceVersion: page.resourceVersion };
    }
  }

  async #page<T>(resource: Resource, selection: Selection, { after, project }: PageOptions<T>): Promise<Page<T>> {
    const { namespace = null, labelSelector, fieldSelector, signal } = selection;
    const query = { limit: PAGE_SIZE, labelSelector, fieldSelector, ...(after === '' ? {} : { continue: after }) };
    const leave = await this.#pages.enter(signal);
    try {
      const path = pathOf(resource, { namespace });
      const json = await this.#transport.json({ method: 'GET', path, query, timeoutMs: this.#timeouts.listMs, signal });
      const items = itemsOf(json).flatMap((raw) => project(checkObject(raw)) ?? []);
      const next = continuationOf(json);
      return { items, after: next, resourceVersion: next === '' ? versionOf(json) : '' };
    } finally {
      leave();
    }
  }
}

interface PageOptions<T> {
  /** Where the page before ended; empty = the first. */
  readonly after: string;
  readonly project: (raw: RawObject) => T | null;
}

interface Page<T> extends ListOf<T> {
  readonly after: string;
}

const refOf = ({ metadata }: KubernetesManifest): ObjectRef => ({ namespace: metadata.namespace ?? null, name: metadata.name });

/** 404 for this very object; one for its namespace or its kind is another trouble. */
const isAbsence = (error: unknown, name: string): boolean =>
  error instanceof KubernetesError && error.status === 404 && error.objectName === name;

const objectOf = <T extends KubernetesObject>(json: unknown): T => checkObject(json) as KubernetesObject as T;

function itemsOf(json: Readonly<Record<string, unknown>>): readonly unknown[] {
  const items = json['items'];
  // An empty list is `[]`, or null from some servers.
  if (items === null) return [];
  if (!Array.isArray(items)) throw new KubernetesUnreachable('garbage', 'a list without items');
  return items;
}

function continuationOf(json: Readonly<Record<string, unknown>>): string {
  const metadata = json['metadata'];
  const page = isObject(metadata) ? metadata['continue'] : undefined;
  return typeof page === 'string' ? page : '';
}
