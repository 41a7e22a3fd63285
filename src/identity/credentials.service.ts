import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { toPrincipal } from './authentication.service.ts';
import type { IdentityStore, PrincipalRecord, TokenRecord } from './identity-store.port.ts';
import { makeCredentials, makeIssuerPeople, type Credential, type IssuerPerson } from './make-credentials.ts';
import type { OidcVerifier } from './oidc-verifier.port.ts';

export interface RouteIdentities {
  readonly credentials: readonly Credential[];
  readonly issuers: readonly {
    readonly issuer: string;
    readonly audience: string;
    readonly jwks: string;
    readonly people: readonly IssuerPerson[];
  }[];
}

const grantsOf = (record: PrincipalRecord, token: TokenRecord | null) => toPrincipal(record, token).grants;

/** Who may invoke what, for the route table. */
export class CredentialsService {
  readonly #store: IdentityStore;
  readonly #oidc: OidcVerifier | null;

  constructor(store: IdentityStore, oidc: OidcVerifier | null) {
    this.#store = store;
    this.#oidc = oidc;
  }

  /** `jwks` as `keys()` gave it; null leaves the issuer out until its keys are known. */
  async forRouteTable(tx: Transaction, now: Instant, jwks: string | null): Promise<RouteIdentities> {
    const principals = await this.#store.allPrincipals(tx);
    const credentials = makeCredentials(await this.#store.liveTokens(tx, now), principals, grantsOf);
    if (!this.#oidc || jwks === null) return { credentials, issuers: [] };
    const { issuer, audience } = this.#oidc;
    return { credentials, issuers: [{ issuer, audience, jwks, people: makeIssuerPeople(issuer, principals, grantsOf) }] };
  }

  /** The configured issuer's keys as they are known now; null without an issuer, or before it first answered. */
  keys(): string | null {
    return this.#oidc?.keys() ?? null;
  }
}
