import { hash } from 'node:crypto';
import type { JSONWebKeySet } from 'jose';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { RouteAccess, RouteDeployment, RouteIssuer, RouteTable } from '../traffic/router-contract/route-table.ts';

/** Somebody who may invoke something. */
export interface Caller {
  readonly principalId: Id;
  readonly callerTeamId: Id | null;
  readonly access: RouteAccess;
  readonly expiresAt: Instant | null;
}

/** Verified OIDC tokens kept. Higher: memory; lower: a signature check per request. */
const MAX_VERIFIED = 10_000;

/** Knows callers by their bearer token, from the table alone. */
export class Callers {
  #tokens = new Map<string, Caller>();
  #issuers: readonly RouteIssuer[] = [];
  readonly #verified = new Map<string, Caller>();

  apply(table: RouteTable): void {
    this.#tokens = new Map(table.credentials.map((credential) => [credential.tokenSha256, credential]));
    this.#issuers = table.issuers;
    this.#verified.clear();
  }

  /** Null for no, an unknown, a revoked or an expired credential: all the same answer. Synchronous unless a signature must be checked. */
  find(authorization: string | undefined, now: Instant): Caller | null | Promise<Caller | null> {
    if (authorization?.slice(0, 7).toLowerCase() !== 'bearer ') return null;
    const token = authorization.slice(7).trim();
    const digest = hash('sha256', token);
    const known = this.#tokens.get(digest) ?? this.#verified.get(digest);
    if (known) return known.expiresAt === null || known.expiresAt > now ? known : null;
    if (this.#issuers.length === 0 || token.split('.').length !== 3) return null;
    return this.#verify(token, digest, now);
  }

  async #verify(token: string, digest: string, now: Instant): Promise<Caller | null> {
    const issuers = this.#issuers;
    for (const issuer of issuers) {
      const caller = await verifyWith(issuer, token, now);
      if (!caller) continue;
      if (issuers !== this.#issuers) return this.#verify(token, digest, now);
      this.#remember(digest, caller);
      return caller;
    }
    return null;
  }

  #remember(digest: string, caller: Caller): void {
    const oldest = this.#verified.keys().next();
    if (this.#verified.size >= MAX_VERIFIED && !oldest.done) this.#verified.delete(oldest.value);
    this.#verified.set(digest, caller);
  }
}

async function verifyWith(issuer: RouteIssuer, token: string, now: Instant): Promise<Caller | null> {
  try {
    // Loaded when first needed: most routers never see such a token.
    const { createLocalJWKSet, jwtVerify } = await import('jose');
    const keys = createLocalJWKSet(JSON.parse(issuer.jwks) as JSONWebKeySet);
    const options = {
      issuer: issuer.issuer,
      audience: issuer.audience,
      currentDate: new Date(now),
      requiredClaims: ['exp', 'sub'],
    };
    const { payload } = await jwtVerify(token, keys, options);
    const person = issuer.people.find((one) => one.subject === payload.sub);
    return person ? { ...person, expiresAt: (payload.exp ?? 0) * 1000 } : null;
  } catch {
    return null;
  }
}

export const mayInvoke = (access: RouteAccess, deployment: RouteDeployment): boolean =>
  access.all || access.teamIds.includes(deployment.teamId) || access.projectIds.includes(deployment.projectId);
