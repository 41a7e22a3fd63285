import type { EntityManager } from '@mikro-orm/postgresql';
import type { Transaction } from '../kernel/transaction.ts';
import { openTransactionOf } from './open-transaction.ts';

/** The ORM inside a transaction, for `*.repository.ts`: one identity map per transaction, flushed before commit. */
export const entityManagerOf = (tx: Transaction): EntityManager => openTransactionOf(tx).em;
