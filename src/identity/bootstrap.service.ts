import type { Clock } from '../kernel/clock.ts';
import { newId } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Grant, PrincipalKind } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import { hashOfToken, newToken, tokenType, type TokenType } from '../kernel/token.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { isLive } from './authentication.service.ts';
import type { IdentityStore, PrincipalRecord } from './identity-store.port.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'bootstrap' };

export interface BootstrapDeps {
  readonly database: Database;
  readonly store: IdentityStore;
  readonly clock: Clock;
  readonly random: Random;
}

interface BuiltIn {
  readonly kind: PrincipalKind;
  readonly name: string;
  readonly token: TokenType;
  readonly grants: readonly Grant[];
  readonly platformActions: readonly string[];
}

const ADMIN: BuiltIn = {
  kind: 'person',
  name: 'admin',
  token: 'admin',
  grants: [{ role: 'platform_admin', teamId: null, projectId: null }],
  platformActions: ['runtime.process'],
};

const router = (name: string): BuiltIn => ({ kind: 'router', name, token: 'router', grants: [], platformActions: [] });

/** Makes what nobody could be asked to make: the first administrator and the router's principal, each with one live token. */
export class BootstrapService {
  readonly #deps: BootstrapDeps;

  constructor(deps: BootstrapDeps) {
    this.#deps = deps;
  }

  /**
   * The text for `<data dir>/admin-token`. `present` is what the file holds now, if it is there: a live token is kept; a missing or dead
   * one is replaced, so that whoever owns the machine can always get in.
   */
  adminToken(present: string | null): Promise<string> {
    return this.#ensure(ADMIN, present);
  }

  /** The same for `<data dir>/router-token`, bound to a router's name. */
  routerToken(name: string, present: string | null): Promise<string> {
    return this.#ensure(router(name), present);
  }

  /** Makes a token that somebody else made and keeps the first administrator's; false when it is of another kind or good no more. */
  acceptAdminToken(text: string): Promise<boolean> {
    return this.#accept(ADMIN, text);
  }

  /** The same for the router's. */
  acceptRouterToken(name: string, text: string): Promise<boolean> {
    return this.#accept(router(name), text);
  }

  #accept(wanted: BuiltIn, text: string): Promise<boolean> {
    if (tokenType(text) !== wanted.token) return Promise.resolve(false);
    const { database, store, clock } = this.#deps;
    return database.write(SCOPE, async (tx) => {
      await store.lockFirstStart(tx);
      const known = await store.findTokenByHash(tx, hashOfToken(text));
      const owner = known && (await store.findPlatformPrincipal(tx, wanted.kind, wanted.name));
      if (known) return isLive(known, clock.now()) && known.principalId === owner?.id;
      await this.#keep(tx, wanted, text);
      return true;
    });
  }

  #ensure(wanted: BuiltIn, present: string | null): Promise<string> {
    const { database, store, clock, random } = this.#deps;
    return database.write(SCOPE, async (tx) => {
      await store.lockFirstStart(tx);
      const now = clock.now();
      const known = present && (await store.findTokenByHash(tx, hashOfToken(present)));
      if (present && known && isLive(known, now) && known.type === wanted.token) return present;
      const text = newToken(wanted.token, random);
      await this.#keep(tx, wanted, text);
      return text;
    });
  }

  async #keep(tx: Transaction, wanted: BuiltIn, text: string): Promise<void> {
    const { store, clock, random } = this.#deps;
    const now = clock.now();
    const owner = (await store.findPlatformPrincipal(tx, wanted.kind, wanted.name)) ?? (await this.#create(tx, wanted, now));
    await store.insertToken(tx, {
      id: newId(now, random),
      principalId: owner.id,
      teamId: null,
      type: wanted.token,
      name: `${wanted.name}-first-start`,
      hash: hashOfToken(text),
      hint: text.slice(-4),
      scope: null,
      createdAt: now,
      expiresAt: null,
      revokedAt: null,
    });
  }

  async #create(tx: Transaction, wanted: BuiltIn, now: Instant): Promise<Omit<PrincipalRecord, 'grants'>> {
    const { store, random } = this.#deps;
    const { kind, name, platformActions } = wanted;
    const principal = {
      id: newId(now, random),
      kind,
      name,
      platformActions,
      teamId: null,
      issuer: null,
      subject: null,
      createdAt: now,
      disabledAt: null,
    };
    await store.insertPrincipal(tx, principal);
    for (const grant of wanted.grants)
      await store.insertGrant(tx, { ...grant, id: newId(now, random), principalId: principal.id, createdAt: now });
    return principal;
  }
}
