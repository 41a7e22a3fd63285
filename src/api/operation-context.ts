import type DataLoader from 'dataloader';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { scopeOf, type Principal } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Database, OpenRead } from '../persistence/database.ts';
import type { EventResolver, SubscriptionContext } from './event.resolver.ts';

export interface OperationDeps {
  readonly database: Pick<Database, 'beginRead'>;
  readonly principal: Principal;
  readonly requestId: string;
  readonly now: Instant;
  /** Aborted when the operation's connection ends; subscriptions stop waiting then. */
  readonly signal: AbortSignal;
  /** What subscriptions to events run on. */
  readonly events: EventResolver;
}

/** The context of one operation. The server copies it, so what changes during the operation is in one object that the copies share. */
export class OperationContext implements SubscriptionContext {
  readonly principal: Principal;
  readonly requestId: string;
  readonly now: Instant;
  readonly signal: AbortSignal;
  readonly events: EventResolver;
  readonly snapshot: Snapshot;

  constructor(deps: OperationDeps) {
    this.principal = deps.principal;
    this.requestId = deps.requestId;
    this.now = deps.now;
    this.signal = deps.signal;
    this.events = deps.events;
    this.snapshot = new Snapshot(deps.database, deps.principal);
  }

  read(): Promise<Transaction> {
    return this.snapshot.read();
  }

  changed(): Promise<void> {
    return this.snapshot.drop();
  }

  loader<K, V>(name: string, make: () => DataLoader<K, V>): DataLoader<K, V> {
    return this.snapshot.loader(name, make);
  }

  changesOf(deploymentId: Id): AsyncIterable<unknown> {
    return this.events.changesOf(this, deploymentId);
  }

  /** Ends the snapshot for good; closing twice is harmless. */
  close(): Promise<void> {
    return this.snapshot.close();
  }
}

/** At most one read transaction at a time, opened when first needed, closed with the operation, and the loaders that read through it. */
class Snapshot {
  readonly #database: Pick<Database, 'beginRead'>;
  readonly #principal: Principal;
  readonly #loaders = new Map<string, unknown>();
  #open: Promise<OpenRead> | null = null;
  #closed = false;

  constructor(database: Pick<Database, 'beginRead'>, principal: Principal) {
    this.#database = database;
    this.#principal = principal;
  }

  async read(): Promise<Transaction> {
    // A resolver that is still running after the client has gone must not take a connection that nobody would give back.
    if (this.#closed) throw new OperationClosed();
    this.#open ??= this.#database.beginRead(scopeOf(this.#principal));
    return (await this.#open).tx;
  }

  async drop(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    this.#loaders.clear();
    await (await open?.catch(() => null))?.end();
  }

  loader<K, V>(name: string, make: () => DataLoader<K, V>): DataLoader<K, V> {
    const known = this.#loaders.get(name);
    if (known) return known as DataLoader<K, V>;
    const made = make();
    this.#loaders.set(name, made);
    return made;
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.drop();
  }
}

/** The operation ended, usually because its client went away. */
export class OperationClosed extends Error {
  override readonly name = 'OperationClosed';
}
