import type { Instant } from '../../kernel/instant.ts';

/** The least that is held of an object. */
export interface Held {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
  };
}

export type Change<T extends Held> =
  | { readonly kind: 'added'; readonly object: T }
  | { readonly kind: 'changed'; readonly before: T; readonly object: T }
  /** `object` is its last known state, `heardAt` when we heard: by an event (`watched`), or found missing after a gap, so that it went earlier. */
  | { readonly kind: 'deleted'; readonly object: T; readonly heardAt: Instant; readonly watched: boolean };

export interface ObjectEvent<T extends Held> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: T;
}

/** Deletions that are remembered against late events. Higher: memory; lower: an event that comes very late brings a deleted object back until the next list. */
const MAX_REMEMBERED_DELETIONS = 20_000;

/** What is known of the objects of one kind. Written by `commit` only. */
export interface ResourceState<T extends Held> {
  /** By `namespace/name`. */
  readonly byName: ReadonlyMap<string, T>;
  readonly byUid: ReadonlyMap<string, T>;
  /** uid → resourceVersion up to which events of this object are old news. */
  readonly deletions: ReadonlyMap<string, string>;
}

/** What a list or an event does to a state. */
export interface Step<T extends Held> {
  readonly changes: readonly Change<T>[];
  readonly deletion: { readonly uid: string; readonly resourceVersion: string } | null;
}

const NOTHING = { changes: [], deletion: null };

export const emptyState = <T extends Held>(): ResourceState<T> => ({ byName: new Map(), byUid: new Map(), deletions: new Map() });

/** `namespace/name`; `/name` for kinds without a namespace. */
export const nameKey = (namespace: string | null | undefined, name: string): string => `${namespace ?? ''}/${name}`;

const keyOf = ({ metadata }: Held): string => nameKey(metadata.namespace, metadata.name);

/**
 * True if `a` is known to be older than `b`. Versions are opaque except that decimal ones of one kind rise with time; where they are not
 * decimal nothing is known. It only orders events: what a list says stands whatever its versions are.
 */
export function isOlder(a: string, b: string): boolean {
  if (!/^[1-9]\d*$/.test(a) || !/^[1-9]\d*$/.test(b)) return false;
  return a.length === b.length ? a < b : a.length < b.length;
}

/** Pure. What an event does: nothing if it is a repeat or older than what is known. */
export function planEvent<T extends Held>(state: ResourceState<T>, event: ObjectEvent<T>, now: Instant): Step<T> {
  const { uid, resourceVersion } = event.object.metadata;
  const deletedAt = state.deletions.get(uid);
  if (deletedAt !== undefined && !isOlder(deletedAt, resourceVersion)) return NOTHING;
  const known = state.byName.get(keyOf(event.object));
  if (event.type === 'DELETED') return planDeletion(known, event.object, now);
  if (!known) return { changes: [{ kind: 'added', object: event.object }], deletion: null };
  if (known.metadata.resourceVersion === resourceVersion || isOlder(resourceVersion, known.metadata.resourceVersion))
    return NOTHING;
  if (known.metadata.uid === uid) return { changes: [{ kind: 'changed', before: known, object: event.object }], deletion: null };
  // Another object has the name: the deletion of the one before was missed, or comes later.
  return {
    changes: [
      { kind: 'deleted', object: known, heardAt: now, watched: false },
      { kind: 'added', object: event.object },
    ],
    deletion: { uid: known.metadata.uid, resourceVersion },
  };
}

function planDeletion<T extends Held>(known: T | undefined, object: T, now: Instant): Step<T> {
  const deletion = { uid: object.metadata.uid, resourceVersion: object.metadata.resourceVersion };
  if (known?.metadata.uid !== object.metadata.uid) return { changes: [], deletion };
  // It left a selector and came back before this event arrived.
  if (isOlder(object.metadata.resourceVersion, known.metadata.resourceVersion)) return { changes: [], deletion };
  return { changes: [{ kind: 'deleted', object, heardAt: now, watched: true }], deletion };
}

/** Pure. A complete list is the truth, whatever was known before. */
export function planList<T extends Held>(state: ResourceState<T>, items: readonly T[], now: Instant): Step<T> {
  const listed = new Set(items.map(({ metadata }) => metadata.uid));
  const changes: Change<T>[] = [];
  for (const object of state.byUid.values())
    if (!listed.has(object.metadata.uid)) changes.push({ kind: 'deleted', object, heardAt: now, watched: false });
  for (const object of items) {
    const before = state.byUid.get(object.metadata.uid);
    if (!before) changes.push({ kind: 'added', object });
    else if (before.metadata.resourceVersion !== object.metadata.resourceVersion)
      changes.push({ kind: 'changed', before, object });
  }
  return { changes, deletion: null };
}

/** Pure. The list with what was noted while it was made: answers of writes may be newer than the list. */
export function withNoted<T extends Held>(items: readonly T[], noted: readonly T[] | null, listVersion: string): readonly T[] {
  if (!noted?.length) return items;
  const byUid = new Map(items.map((item) => [item.metadata.uid, item]));
  for (const object of noted) {
    const { uid, resourceVersion } = object.metadata;
    if (isOlder(byUid.get(uid)?.metadata.resourceVersion ?? listVersion, resourceVersion)) byUid.set(uid, object);
  }
  return [...byUid.values()];
}

/** Makes a step true. The state that it was planned on must be the present one. */
export function commit<T extends Held>(state: ResourceState<T>, { changes, deletion }: Step<T>): void {
  const byName = state.byName as Map<string, T>;
  const byUid = state.byUid as Map<string, T>;
  const deletions = state.deletions as Map<string, string>;
  for (const { kind, object } of changes) {
    if (kind === 'deleted') {
      byUid.delete(object.metadata.uid);
      if (byName.get(keyOf(object))?.metadata.uid === object.metadata.uid) byName.delete(keyOf(object));
    } else {
      // Back under its selector, or back from a backup of the server's storage, whose versions begin again lower.
      deletions.delete(object.metadata.uid);
      byUid.set(object.metadata.uid, object);
      byName.set(keyOf(object), object);
    }
  }
  if (deletion) remember(deletions, deletion);
}

function remember(deletions: Map<string, string>, { uid, resourceVersion }: { uid: string; resourceVersion: string }): void {
  const known = deletions.get(uid);
  if (known !== undefined && !isOlder(known, resourceVersion)) return;
  deletions.delete(uid);
  deletions.set(uid, resourceVersion);
  const oldest = deletions.keys().next().value;
  if (deletions.size > MAX_REMEMBERED_DELETIONS && oldest !== undefined) deletions.delete(oldest);
}
