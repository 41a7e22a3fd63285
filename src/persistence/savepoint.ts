import type { Transaction } from '../kernel/transaction.ts';
import { openTransactionOf } from './open-transaction.ts';

/**
 * Runs `body` behind a savepoint. If `keep` says no, or the body throws, its writes and the events that it recorded are
 * undone and the transaction goes on; a throw is passed on after that.
 */
export async function withSavepoint<T>(tx: Transaction, body: () => Promise<T>, keep: (value: T) => boolean): Promise<T> {
  const open = openTransactionOf(tx);
  const recordedBefore = open.recorded;
  const undo = async (): Promise<void> => {
    open.recorded = recordedBefore;
    await open.sql.execute('rollback to savepoint body');
  };
  await open.sql.execute('savepoint body');
  try {
    const value = await body();
    if (!keep(value)) {
      await undo();
      return value;
    }
    await open.sql.execute('release savepoint body');
    return value;
  } catch (error) {
    await undo();
    throw error;
  }
}
