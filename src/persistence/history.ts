import { invariant } from '../kernel/invariant.ts';
import type { Instant } from '../kernel/instant.ts';
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

/** The row of `table` that was valid at `at`; undefined before the first. `key` names the thing, for example `{ deployment_id }`. */
export async function historyAt<R>(
  tx: Transaction,
  table: string,
  key: Readonly<Record<string, string>>,
  at: Instant,
): Promise<R | undefined> {
  const columns = Object.keys(key);
  invariant(
    [table, ...columns].every((name) => IDENTIFIER.test(name)),
    `history: bad identifier in ${table}`,
  );
  const where = columns.map((column, index) => `${column} = $${index + 2}`).join(' and ');
  const [row] = await sqlOf(tx).query<R>(
    `select * from ${table} where valid_from <= $1 and ${where} order by valid_from desc, generation desc limit 1`,
    [at, ...Object.values(key)],
  );
  return row;
}

const asParameter = (value: string | number | object | null | undefined): unknown =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
