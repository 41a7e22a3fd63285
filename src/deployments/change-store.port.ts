import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** What was committed since the last look at the event log. */
export interface News {
  readonly epoch: string;
  /** Of the last event that has a number. */
  readonly position: number;
  /** Events with and without a number. */
  readonly committed: number;
  /** Clusters with workloads of the deployments that it is about; null = it may be about any. */
  readonly clusterIds: ReadonlySet<Id> | null;
  /** True if machines were told that they will be taken away, or may have been: that cannot wait. */
  readonly isInterrupted: boolean;
}

/** What clusters' loops are woken by. */
export interface ChangeStore {
  /** Reads only; `since` null = nothing is known yet. What has no number may be told twice. */
  newsSince(tx: Transaction, since: News | null): Promise<News>;
}
