import type { Instant } from '../../kernel/instant.ts';
import type { Freshness } from './resource-cache.ts';

/** A trouble is shorter than this if the server only restarts or a load balancer cuts a watch. Higher: old state is believed longer; lower: blips count as outages. */
const TOLERATED_TROUBLE_MS = 5_000;
/** No word from the server for this long; a healthy watch is renewed more often. Higher and lower likewise. */
const TOLERATED_SILENCE_MS = 60_000;

/** Pure. Why the held state must not be acted upon; null = it may. What is not trusted is unknown, never gone. */
export function distrust({ syncedAt, heardAt, error, troubledSince }: Freshness, now: Instant): string | null {
  if (syncedAt === null || heardAt === null) return error ? `never seen: ${error.message}` : 'not seen yet';
  if (error && troubledSince !== null && now - troubledSince > TOLERATED_TROUBLE_MS) return error.message;
  if (now - heardAt > TOLERATED_SILENCE_MS) return `nothing heard for ${Math.round((now - heardAt) / 1000)} s`;
  return null;
}
