import type { Instant } from './instant.ts';
import type { Random } from './random.ts';

/** A UUID in its canonical lower-case form. */
export type Id = string;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const isId = (text: string): text is Id => UUID.test(text);

/** A version-7 UUID (RFC 9562 §5.7): 48 bits of milliseconds, then randomness, so that ids sort by creation time. */
export function newId(now: Instant, random: Random): Id {
  const bytes = new Uint8Array(16);
  bytes.set(random.bytes(16));
  let ms = now;
  for (let i = 5; i >= 0; i -= 1) {
    bytes[i] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
