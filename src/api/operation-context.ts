import type DataLoader from 'dataloader';
import type { ApiContext } from '../graphql/context.ts';
import type { Instant } from '../kernel/instant.ts';
import { scopeOf, type Principal } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Database, OpenRead } from '../persistence/database.ts';

export interface OperationDeps {
  readonly database: Pick<Database, 'beginRead'>;
  readonly principal: Principal;
  readonly requestId: string;
  readonly now: Instant;
}

/** The context of one operation: at most one read snapshot at a time, opened when first needed, closed with the operation. */
export class OperationContext implements ApiContext {
  readonly principal: Principal;
  readonly requestId: string;
  readonly now: Instant;
  readonly #database: Pick<Database, 'beginRead'>;
  readonly #loaders = new Map<string, unknown>();
  #open: Promise<OpenRead> | null = null;
  #closed = false;

  constructor(deps: OperationDeps) {
    this.principal = deps.principal;
    this.requestId = deps.requestId;
    this.now = deps.now;
    this.#database = deps.database;
  }

  async read(): Promise<Transaction> {
    // A resolver that is still running after the client has gone must not take a connection that nobody would give back.
    if (this.#closed) throw new OperationClosed();
    this.#open ??= this.#database.beginRead(scopeOf(this.principal));
    return (await this.#open).tx;
  }

  async changed(): Promise<void> {
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

  /** Ends the snapshot; closing twice is harmless. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.changed();
  }
}

/** The operation ended, usually because its client went away. */
export class OperationClosed extends Error {
  override readonly name = 'OperationClosed';
}
