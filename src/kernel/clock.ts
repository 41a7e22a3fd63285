import type { Instant } from './instant.ts';

/** Where "now" comes from. Only `main/` has the real one; everything else is handed one. */
export interface Clock {
  now(): Instant;
}
