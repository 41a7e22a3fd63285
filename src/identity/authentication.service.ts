import type { Clock } from '../kernel/clock.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Principal } from '../kernel/principal.ts';
import { hashOfToken, tokenType } from '../kernel/token.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { covers } from './grants.ts';
import type { IdentityStore, PrincipalRecord, TokenRecord } from './identity-store.port.ts';
import type { OidcVerifier } from './oidc-verifier.port.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'authentication' };

export interface AuthenticationDeps {
  readonly database: Database;
  readonly store: IdentityStore;
  readonly clock: Clock;
  /** Null = no issuer is configured. */
  readonly oidc: OidcVerifier | null;
}

/**
 * Who a bearer token belongs to, now. Nothing is cached: a revoked token is refused by the next call. A malformed one is refused before
 * the database is asked.
 */
export class AuthenticationService {
  readonly #deps: AuthenticationDeps;

  constructor(deps: AuthenticationDeps) {
    this.#deps = deps;
  }

  /** Null for anything that proves nothing: unknown, malformed, expired, revoked, of a disabled principal. */
  async authenticate(bearer: string): Promise<Principal | null> {
    if (tokenType(bearer) !== null) return this.#deps.database.read(SCOPE, (tx) => this.#byToken(tx, hashOfToken(bearer)));
    const claims = await this.#deps.oidc?.verify(bearer);
    if (!claims) return null;
    const person = await this.#deps.database.read(SCOPE, (tx) => this.#deps.store.findPerson(tx, claims.issuer, claims.subject));
    return person && person.disabledAt === null ? toPrincipal(person, null) : null;
  }

  async #byToken(tx: Transaction, hash: string): Promise<Principal | null> {
    const token = await this.#deps.store.findTokenByHash(tx, hash);
    if (!token || !isLive(token, this.#deps.clock.now())) return null;
    const owner = await this.#deps.store.findPrincipal(tx, token.principalId);
    return owner && owner.disabledAt === null ? toPrincipal(owner, token) : null;
  }
}

export const isLive = (token: TokenRecord, now: Instant): boolean =>
  token.revokedAt === null && (token.expiresAt === null || token.expiresAt > now);

/** A token narrows, never widens: of its scope only what the principal still has. Named platform actions need an unscoped token. */
export function toPrincipal(record: PrincipalRecord, token: TokenRecord | null): Principal {
  const scope = token?.scope ?? null;
  return {
    id: record.id,
    kind: record.kind,
    name: record.name,
    grants: scope === null ? record.grants : scope.filter((wanted) => record.grants.some((grant) => covers(grant, wanted))),
    platformActions: scope === null ? record.platformActions : [],
    tokenId: token?.id ?? null,
  };
}
