import type { Clock } from '../kernel/clock.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Random } from '../kernel/random.ts';
import type { Scope } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { LEASE_MS, RENEW_EVERY_MS, acquireLease, isFree, releaseLease, renewLease, type Lease } from '../persistence/lease.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Loop } from './loop.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'lease' };

export interface LeaseKeeperDeps {
  readonly database: Database;
  /** `<loop>/<thing>`, for example `deployments/<cluster id>`. */
  readonly name: string;
  /** Names this instance, different for every start. */
  readonly holder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Told when the lease is gained, and when it is lost (null). */
  readonly onChange?: (lease: Lease | null) => void;
}

/** Holds a lease as long as it can: takes it when it is free, renews it every 5 s, says at any time whether it is held. */
export class LeaseKeeper {
  readonly #deps: LeaseKeeperDeps;
  readonly #loop: Loop;
  #lease: Lease | null = null;
  #until: Instant = 0;

  constructor(deps: LeaseKeeperDeps) {
    this.#deps = deps;
    const backoff = { baseMs: 500, maxMs: RENEW_EVERY_MS };
    this.#loop = new Loop({ ...deps, name: `lease ${deps.name}`, everyMs: RENEW_EVERY_MS, body: () => this.#keep(), backoff });
  }

  start(): void {
    this.#loop.start();
  }

  /** The lease, if it is held as far as this process knows; whoever writes must still `assertHeld` in its transaction. */
  current(): Lease | null {
    return this.#lease && this.#deps.clock.now() < this.#until ? this.#lease : null;
  }

  /** Stops renewing and gives the lease back, so that another instance can go on at once. */
  async stop(): Promise<void> {
    await this.#loop.stop();
    const lease = this.#lease;
    this.#change(null);
    // What cannot be given back ends by itself.
    if (lease) await this.#deps.database.write(SCOPE, (tx) => releaseLease(tx, lease)).catch(() => undefined);
  }

  async #keep(): Promise<void> {
    // Counted from before the statement: on this side the lease ends no later than on the database's.
    const asked = this.#deps.clock.now();
    const lease = (await this.#renewed()) ?? (await this.#acquired());
    this.#until = asked + LEASE_MS;
    this.#change(lease);
  }

  async #renewed(): Promise<Lease | null> {
    const held = this.#lease;
    if (!held) return null;
    return (await this.#deps.database.write(SCOPE, (tx) => renewLease(tx, held))) ? held : null;
  }

  async #acquired(): Promise<Lease | null> {
    const { database, name, holder } = this.#deps;
    const free = await database.read(SCOPE, (tx) => isFree(tx, name));
    return free ? database.write(SCOPE, (tx) => acquireLease(tx, name, holder)) : null;
  }

  #change(lease: Lease | null): void {
    const changed = lease?.epoch !== this.#lease?.epoch;
    this.#lease = lease;
    if (!changed) return;
    this.#deps.logger.info({ lease: this.#deps.name, epoch: lease?.epoch ?? null }, lease ? 'lease gained' : 'lease lost');
    this.#deps.onChange?.(lease);
  }
}
