import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { AuditedHour, AuditedNodes } from './audit-ledger.ts';

/** What the ledger's own promises are checked with. */
export interface LedgerAuditStore {
  /**
   * The settled replicas of an hour with their lines and sums, as of one instant. A replica with something queued, or changed since its
   * minutes were closed, is left out: it is about to be restated.
   */
  hour(tx: Transaction, from: Instant): Promise<AuditedHour>;
  /** The same for the settled nodes of the hour; one whose replicas have changed is left out, too. */
  nodes(tx: Transaction, from: Instant): Promise<AuditedNodes>;
}
