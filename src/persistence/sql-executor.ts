import { CompiledQuery } from 'kysely';

/** SQL inside a transaction: `$1` placeholders; int8 comes back as number, numeric as string, jsonb parsed, timestamps never used. */
export interface Sql {
  /** The rows. Throws the driver's error (`code` is the SQLSTATE). */
  query<R>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** The number of rows affected. */
  execute(text: string, values?: readonly unknown[]): Promise<number>;
}

/** Whatever runs Kysely's compiled queries, such as the ORM's own transaction. */
export interface Executor {
  executeQuery<R>(query: CompiledQuery): Promise<{ rows: R[]; numAffectedRows?: bigint }>;
}

export function sqlOver(executor: Executor): Sql {
  const run = <R>(text: string, values: readonly unknown[]) => executor.executeQuery<R>(CompiledQuery.raw(text, [...values]));
  return {
    query: async <R>(text: string, values: readonly unknown[] = []) => (await run<R>(text, values)).rows,
    execute: async (text, values = []) => Number((await run(text, values)).numAffectedRows ?? 0n),
  };
}
