import { invariant } from '../kernel/invariant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from './sql.ts';

const IDENTIFIER = /^[a-z][a-z0-9_]*$/;

/** Columns of a history table by name; objects are written as jsonb. */
export type HistoryRow = Readonly<Record<string, string | number | object | null>>;

/**
 * Appends a row to a `*_history` table, in the transaction that changed the row whose twin it is. Must name the key columns,
 * `generation`, `valid_from`, `principal` and, of a tenant's, `team_id`. A repeated (key, generation) is a bug and throws.
 */
export async function appendHistory(tx: Transaction, table: string, row: HistoryRow): Promise<void> {
  const columns = Object.keys(row);
  invariant(
    [table, ...columns].every((name) => IDENTIFIER.test(name)),
    `history: bad identifier in ${table}`,
  );
  const values = columns.map((column) => asParameter(row[column]));
  const places = columns.map((_, index) => `$${index + 1}`);
  await sqlOf(tx).execute(`insert into ${table} (${columns.join(', ')}) values (${places.join(', ')})`, values);
}

const asParameter = (value: string | number | object | null | undefined): unknown =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
