import type { EventDraft } from '../kernel/event.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { openTransactionOf } from '../persistence/open-transaction.ts';

/**
 * Appends events to the log, with the transaction or not at all. They are held back and inserted as its last statement, after the
 * ORM's flush, so that their order is drawn under the row locks of the change itself.
 */
export function record(tx: Transaction, ...drafts: readonly EventDraft[]): void {
  const open = openTransactionOf(tx);
  invariant(open.writable, 'events are recorded in a transaction that writes');
  open.recorded = [...open.recorded, ...drafts];
}
