import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from './database.ts';
import { assertHeld, type Lease } from './lease.ts';

/** A write that happens under this lease or, with `LeaseLost`, not at all; until it ends nobody can take the lease over. */
export const fencedWrite = <T>(
  database: Pick<Database, 'write'>,
  { scope, lease }: { readonly scope: Scope; readonly lease: Lease },
  body: (tx: Transaction) => T | Promise<T>,
): Promise<T> =>
  database.write(scope, async (tx) => {
    await assertHeld(tx, lease);
    return body(tx);
  });
