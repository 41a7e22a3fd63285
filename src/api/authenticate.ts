import type { Principal } from '../kernel/principal.ts';

/** What the API needs of identity: who a bearer token belongs to, now. */
export interface Authenticator {
  authenticate(bearer: string): Promise<Principal | null>;
}

/** The token of an `Authorization: Bearer …` header or of a socket's connection parameters; null without one. */
export function bearerOf(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const match = /^Bearer +([\x21-\x7e]{1,8192}) *$/i.exec(value);
  return match?.[1] ?? null;
}

/** How often a standing connection proves itself again. Higher: a revoked token sees events for over a second; lower: more queries each. */
export const RECHECK_MS = 500;

export interface WatchedToken {
  readonly bearer: string;
  /** Whom it proved when the connection was made. */
  readonly known: Principal;
  readonly everyMs?: number;
}

/**
 * Calls `lost` once when the token is no longer good, or its rights have changed: whoever holds the connection must come back with what
 * is true now. An outage of the database is no verdict. Returns how to stop.
 */
export function watchToken(
  authenticator: Authenticator,
  { bearer, known, everyMs = RECHECK_MS }: WatchedToken,
  lost: () => void,
): () => void {
  let asking = false;
  const check = async (): Promise<void> => {
    if (asking) return;
    asking = true;
    const present = await authenticator.authenticate(bearer).catch(() => known);
    asking = false;
    if (present && rightsOf(present) === rightsOf(known)) return;
    clearInterval(timer);
    lost();
  };
  const timer = setInterval(() => void check(), everyMs);
  timer.unref();
  return () => clearInterval(timer);
}

const rightsOf = ({ id, grants, platformActions }: Principal): string => JSON.stringify([id, grants, platformActions]);
