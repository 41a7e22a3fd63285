import type { EntityManager } from '@mikro-orm/postgresql';
import type { EventDraft } from '../kernel/event.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Sql } from './sql-executor.ts';

/** What an opaque `Transaction` stands for; only `persistence/` looks behind it. */
export interface OpenTransaction {
  /** Commits or rolls back; nothing is mapped by it. */
  readonly em: EntityManager;
  readonly sql: Sql;
  readonly scope: Scope;
  readonly writable: boolean;
  /** Events to append as the last statement before commit. */
  recorded: readonly EventDraft[];
}

const OPEN = new WeakMap<Transaction, OpenTransaction>();

/** Gives an opaque handle for `open`. */
export function handleOf(open: OpenTransaction): Transaction {
  const handle = Object.freeze({}) as Transaction;
  OPEN.set(handle, open);
  return handle;
}

/** What stands behind the handle; a handle that has ended is a bug of the caller. */
export function openTransactionOf(tx: Transaction): OpenTransaction {
  const open = OPEN.get(tx);
  invariant(open, 'this transaction has ended, or was never one of ours');
  return open;
}

/** After this every use of the handle is a bug that is seen at once. */
export const forget = (tx: Transaction): boolean => OPEN.delete(tx);
