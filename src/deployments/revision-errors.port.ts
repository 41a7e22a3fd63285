import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** What requests to a revision met. */
export interface RevisionErrors {
  readonly requests: number;
  readonly errors: number;
}

/** Asks metering how revisions fare; a revision without requests is absent. */
export interface RevisionErrorSource {
  /**
   * Requests since the minute of `since` to replicas that hold their slot: what those met that are gone, with their node or in a wipe, says
   * nothing of what runs now. Safe to repeat.
   */
  errorsOf(tx: Transaction, revisionIds: readonly Id[], since: Instant): Promise<ReadonlyMap<Id, RevisionErrors>>;
}
