/** Who an OIDC token speaks for. */
export interface OidcClaims {
  readonly issuer: string;
  readonly subject: string;
}

/** Checks bearer tokens of one configured issuer. */
export interface OidcVerifier {
  /** The claims of a valid token (signature, issuer, audience, times), else null; never throws for a bad token. Safe to repeat. */
  verify(token: string): Promise<OidcClaims | null>;
  /** The issuer's keys as last fetched, as a JSON Web Key Set for routers; null before that. Never waits; asking keeps them fresh. */
  keys(): string | null;
  readonly issuer: string;
  readonly audience: string;
}
