import type DataLoader from 'dataloader';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** What every resolver gets. One per GraphQL operation. */
export interface ApiContext {
  /** Who asks; anonymous requests never get this far (401 before parsing). */
  readonly principal: Principal;
  readonly requestId: string;
  /** One instant for the whole operation. */
  readonly now: Instant;
  /**
   * The operation's one REPEATABLE READ READ ONLY transaction in the principal's scope, opened at the first call. After `changed()`
   * the next call opens a fresh one, so that a payload shows what its mutation did.
   */
  read(): Promise<Transaction>;
  /** To be called after each command: drops the read snapshot and every loader. */
  changed(): Promise<void>;
  /** The loader of that name, made at the first call in this snapshot; it must read through `read()`. */
  loader<K, V>(name: string, make: () => DataLoader<K, V>): DataLoader<K, V>;
  /**
   * For a subscription to one deployment: an item at once and one after each event that concerns it, until the client goes. Each item is
   * resolved in a snapshot of its own, so the resolver reads the deployment as it is then.
   */
  changesOf(deploymentId: Id): AsyncIterable<unknown>;
}
