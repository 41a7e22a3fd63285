import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** What was committed since a place in the event log. */
export interface News {
  readonly epoch: string;
  readonly position: number;
  /** Clusters with workloads of the deployments that it is about; null = it may be about any. */
  readonly clusterIds: ReadonlySet<Id> | null;
}

/** What clusters' loops are woken by. */
export interface ChangeStore {
  /** Reads only; `since` null = nothing is known yet. */
  newsSince(tx: Transaction, since: Pick<News, 'epoch' | 'position'> | null): Promise<News>;
}
