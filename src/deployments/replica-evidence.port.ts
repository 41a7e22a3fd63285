import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** Asks metering when replicas were last at work: evidence of life where nobody saw the end. */
export interface ReplicaEvidence {
  /** The end of the last minute in which a request finished; a replica without requests is absent. Safe to repeat. */
  lastServed(tx: Transaction, replicaIds: readonly Id[]): Promise<ReadonlyMap<Id, Instant>>;
}
