import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../kernel/clock.ts';
import type { Instant } from '../kernel/instant.ts';
import type { OidcClaims, OidcVerifier } from './oidc-verifier.port.ts';

/** Signatures that prove the issuer; symmetric ones and "none" never do. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
/** Allowed difference of clocks. Higher: expired tokens live on; lower: healthy clocks are refused. */
const CLOCK_TOLERANCE_S = 5;
/** How long the issuer may take. Higher: the first caller waits for a dead one; lower: a slow one counts as away. */
const FETCH_TIMEOUT_MS = 5_000;
/** How long keys count as fresh. Higher: a key that the issuer withdrew is trusted for longer; lower: it is asked for nothing. */
const FRESH_MS = 60_000;
/** Least time between two fetches. Higher: rotated keys and an issuer that is back are noticed late; lower: strangers can make us hammer it. */
const COOL_DOWN_MS = 5_000;
/** Longest key set. Higher: every router's table carries it; lower: honest issuers with certificates in their keys are refused. */
const MAX_KEYS_CHARS = 262_144;

export interface OidcVerifierOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly clock: Clock;
  /** Where the last keys are kept, so that a restart while the issuer is away shuts nobody out; null = in memory only. */
  readonly file: string | null;
}

interface Keys {
  readonly text: string;
  readonly find: JWTVerifyGetKey;
}

/**
 * Finds the issuer's keys by OpenID Connect Discovery and keeps them: fetched again when they are a minute old or a token names another
 * key, in the background; the last ones stay while the issuer is away.
 */
export class JoseOidcVerifier implements OidcVerifier {
  readonly issuer: string;
  readonly audience: string;
  readonly #clock: Clock;
  readonly #file: string | null;
  #keys: Keys | null;
  #askedAt: Instant = Number.NEGATIVE_INFINITY;
  #failed = false;
  #asking: Promise<void> | null = null;

  constructor(options: OidcVerifierOptions) {
    this.issuer = options.issuer;
    this.audience = options.audience;
    this.#clock = options.clock;
    this.#file = options.file;
    this.#keys = readKept(options);
  }

  async verify(token: string): Promise<OidcClaims | null> {
    // Three dot-separated parts, or it is no JWT: nothing is fetched for noise.
    if (token.split('.').length !== 3) return null;
    if (this.#keys === null) await this.#ask(COOL_DOWN_MS);
    else void this.#ask(FRESH_MS);
    const known = this.#keys;
    const outcome = await this.#verifyWith(known, token);
    if (outcome !== 'unknown key') return outcome;
    await this.#ask(COOL_DOWN_MS);
    if (this.#keys === known) return null;
    const again = await this.#verifyWith(this.#keys, token);
    return again === 'unknown key' ? null : again;
  }

  keys(): string | null {
    void this.#ask(this.#keys === null ? COOL_DOWN_MS : FRESH_MS);
    return this.#keys?.text ?? null;
  }

  async #verifyWith(keys: Keys | null, token: string): Promise<OidcClaims | null | 'unknown key'> {
    if (keys === null) return null;
    try {
      const { payload } = await jwtVerify(token, keys.find, {
        issuer: this.issuer,
        audience: this.audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['exp', 'sub'],
      });
      return payload.sub ? { issuer: this.issuer, subject: payload.sub } : null;
    } catch (error) {
      return error instanceof errors.JWKSNoMatchingKey ? 'unknown key' : null;
    }
  }

  /** Fetches the keys unless that was done less than `olderThanMs` ago; whoever asks meanwhile waits for the same answer. */
  #ask(olderThanMs: number): Promise<void> {
    if (this.#asking) return this.#asking;
    const now = this.#clock.now();
    if (now < this.#askedAt + (this.#failed ? COOL_DOWN_MS : olderThanMs)) return Promise.resolve();
    this.#askedAt = now;
    this.#asking = fetchKeys(this.issuer)
      .then(
        (keys) => {
          if (keys.text !== this.#keys?.text) this.#learn(keys);
          this.#failed = false;
        },
        () => {
          this.#failed = true;
        },
      )
      .finally(() => (this.#asking = null));
    return this.#asking;
  }

  #learn(keys: Keys): void {
    this.#keys = keys;
    if (this.#file === null) return;
    try {
      writeFileSync(`${this.#file}.new`, JSON.stringify({ issuer: this.issuer, keys: keys.text }), { mode: 0o600 });
      renameSync(`${this.#file}.new`, this.#file);
    } catch {
      // A full disk costs no more than the copy.
    }
  }
}

/** Null for none, and for those of an issuer that was configured before. */
function readKept({ file, issuer }: OidcVerifierOptions): Keys | null {
  try {
    const kept = JSON.parse(readFileSync(file ?? '', 'utf8')) as { readonly issuer: string; readonly keys: string };
    return kept.issuer === issuer ? toKeys(kept.keys) : null;
  } catch {
    return null;
  }
}

const toKeys = (text: string): Keys => ({ text, find: createLocalJWKSet(JSON.parse(text) as JSONWebKeySet) });

async function fetchKeys(issuer: string): Promise<Keys> {
  const found = (await fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)) as Record<string, unknown>;
  // OpenID Connect Discovery 1.0 §4.3: a document of another issuer would let its keys speak for this one.
  if (found['issuer'] !== issuer) throw new Error(`${issuer} is described by another issuer.`);
  const { keys } = (await fetchJson(String(found['jwks_uri']))) as JSONWebKeySet;
  return toKeys(JSON.stringify({ keys }));
}

async function fetchJson(url: string): Promise<unknown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
  const text = await response.text();
  if (!response.ok || text.length > MAX_KEYS_CHARS)
    throw new Error(`${url} answered ${response.status} with ${text.length} characters.`);
  return JSON.parse(text);
}
