import { createRemoteJWKSet, jwtVerify, type JWTVerifyGetKey } from 'jose';
import type { OidcClaims, OidcVerifier } from './oidc-verifier.port.ts';

/** Signatures that prove the issuer; symmetric ones and "none" never do. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
/** Allowed difference of clocks. Higher: expired tokens live on; lower: healthy clocks are refused. */
const CLOCK_TOLERANCE_S = 5;
const FETCH_TIMEOUT_MS = 5_000;

interface Discovery {
  readonly issuer: string;
  readonly jwks_uri: string;
}

/** Discovers the issuer's keys by OpenID Connect Discovery at first use; jose caches and rotates them. */
export class JoseOidcVerifier implements OidcVerifier {
  readonly issuer: string;
  readonly audience: string;
  #jwksUri: Promise<string> | null = null;
  #keySet: JWTVerifyGetKey | null = null;

  constructor(options: { readonly issuer: string; readonly audience: string }) {
    this.issuer = options.issuer;
    this.audience = options.audience;
  }

  async verify(token: string): Promise<OidcClaims | null> {
    // Three dot-separated parts, or it is no JWT: nothing is fetched for noise.
    if (token.split('.').length !== 3) return null;
    try {
      const { payload } = await jwtVerify(token, await this.#keys(), {
        issuer: this.issuer,
        audience: this.audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['exp', 'sub'],
      });
      return payload.sub ? { issuer: this.issuer, subject: payload.sub } : null;
    } catch {
      return null;
    }
  }

  async keys(): Promise<string | null> {
    try {
      const response = await fetch(await this.#discover(), { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
      return response.ok ? await response.text() : null;
    } catch {
      return null;
    }
  }

  async #keys(): Promise<JWTVerifyGetKey> {
    const uri = new URL(await this.#discover());
    this.#keySet ??= createRemoteJWKSet(uri, { timeoutDuration: FETCH_TIMEOUT_MS });
    return this.#keySet;
  }

  /** A failed discovery is forgotten, so that the next token asks again. */
  #discover(): Promise<string> {
    this.#jwksUri ??= fetchDiscovery(this.issuer).catch((error: unknown) => {
      this.#jwksUri = null;
      throw error;
    });
    return this.#jwksUri;
  }
}

async function fetchDiscovery(issuer: string): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}.`);
  const found = (await response.json()) as Discovery;
  // OpenID Connect Discovery 1.0 §4.3: a document of another issuer would let its keys speak for this one.
  if (found.issuer !== issuer) throw new Error(`${url} speaks for another issuer.`);
  return found.jwks_uri;
}
