import type { Transaction } from '../kernel/transaction.ts';
import { openTransactionOf } from './open-transaction.ts';
import type { Sql } from './sql-executor.ts';

export type { Sql } from './sql-executor.ts';

/** The only door to SQL for repositories and other kits. */
export const sqlOf = (tx: Transaction): Sql => openTransactionOf(tx).sql;
