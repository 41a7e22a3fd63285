import type { KubernetesManifest, KubernetesObject } from '../api/objects.ts';
import { isObject } from '../api/read-answer.ts';

/** Lists in which Kubernetes tells elements apart by a field, so that others may have elements of their own beside ours. */
const ELEMENT_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  volumes: 'name',
  env: 'name',
  volumeMounts: 'mountPath',
  ports: 'name',
  topologySpreadConstraints: 'topologyKey',
};

/** Fields that say who or when, and nothing of what is wanted. */
const META_FIELDS: readonly string[] = ['labels', 'annotations'];

/** True if every field that the manifest names is there as it says. What else the object has belongs to others. */
export function isAsWanted(wanted: KubernetesManifest, live: KubernetesObject): boolean {
  const { apiVersion: _version, kind: _kind, metadata, ...fields } = wanted;
  const meta = Object.fromEntries(Object.entries(metadata).filter(([field]) => META_FIELDS.includes(field)));
  return covers(meta, live.metadata) && covers(fields, live);
}

function covers(wanted: unknown, live: unknown, field = ''): boolean {
  if (Array.isArray(wanted)) return Array.isArray(live) && coversList(wanted, live, ELEMENT_KEYS[field]);
  if (!isObject(wanted)) return wanted === live;
  // An empty object, such as an `emptyDir` without limits, may be left out.
  if (!isObject(live)) return live === undefined && Object.keys(wanted).length === 0;
  return Object.entries(wanted).every(([name, value]) => value === undefined || covers(value, live[name], name));
}

function coversList(wanted: readonly unknown[], live: readonly unknown[], key: string | undefined): boolean {
  if (key === undefined) return wanted.length === live.length && wanted.every((element, n) => covers(element, live[n]));
  return wanted.every((element) => {
    const same = live.filter((other) => isObject(other) && isObject(element) && other[key] === element[key]);
    return same.some((other) => covers(element, other));
  });
}
