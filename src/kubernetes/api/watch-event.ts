import { KubernetesUnreachable } from './errors.ts';
import { errorOfStatus, isObject, jsonObject } from './read-answer.ts';

/** An event of a watch; the object is as the server sent it, unchecked beyond its identity. */
export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: RawObject }
  /** Everything up to this resourceVersion has been sent. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** An object whose identity was checked and nothing else. */
export interface RawObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
  };
  readonly [field: string]: unknown;
}

/** One line of a watch. Throws the `KubernetesError` that the server reports in it, `KubernetesUnreachable` for garbage. */
export function readWatchLine(line: string): WatchEvent {
  const event = jsonObject(line);
  const object = event?.['object'];
  if (!event || !isObject(object)) throw garbage(line);
  switch (event['type']) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type: event['type'], object: checkObject(object) };
    case 'BOOKMARK':
      return { type: 'BOOKMARK', resourceVersion: versionOf(object) };
    case 'ERROR':
      throw errorOfStatus(object, 500, null);
    default:
      throw garbage(line);
  }
}

/** Throws `KubernetesUnreachable` for what has no name, uid and resourceVersion. */
export function checkObject(value: unknown): RawObject {
  const metadata = isObject(value) ? value['metadata'] : null;
  const { name, namespace, uid, resourceVersion } = isObject(metadata) ? metadata : {};
  const named = typeof name === 'string' && (namespace === undefined || typeof namespace === 'string');
  if (!named || typeof uid !== 'string' || typeof resourceVersion !== 'string') throw garbage(JSON.stringify(value));
  return value as RawObject;
}

/** The resourceVersion of a list or bookmark. */
export function versionOf(value: Readonly<Record<string, unknown>>): string {
  const metadata = value['metadata'];
  const version = isObject(metadata) ? metadata['resourceVersion'] : undefined;
  if (typeof version !== 'string' || version === '') throw garbage(JSON.stringify(value));
  return version;
}

const garbage = (text: string | undefined): KubernetesUnreachable =>
  new KubernetesUnreachable('garbage', `not what an API server sends: ${JSON.stringify((text ?? '').slice(0, 200))}`);
