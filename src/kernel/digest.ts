import { createHash } from 'crypto';
import type { Json } from './event.ts';

/** `sha256:` and 64 lower-case hex digits. */
export type Digest = string;

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export const isDigest = (text: string): text is Digest => DIGEST.test(text);

export const digestOf = (bytes: Uint8Array | string): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A digest of bytes that arrive in pieces. */
export interface RunningDigest {
  add(bytes: Uint8Array): void;
  /** To be called once, at the end. */
  end(): Digest;
}

export function startDigest(): RunningDigest {
  const hash = createHash('sha256');
  return { add: (bytes) => void hash.update(bytes), end: () => `sha256:${hash.digest('hex')}` };
}

/** Digest of a value that does not depend on the order of its keys. */
export const digestOfJson = (value: Json): Digest => digestOf(canonicalJson(value));

/** JSON with sorted keys and no spaces: equal values give equal text. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map((item: Json) => canonicalJson(item)).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const fields = Object.entries(value as Record<string, Json>).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(',')}}`;
}
