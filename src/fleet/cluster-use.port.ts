import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** Asks what a cluster is used for; later features answer. */
export interface ClusterUse {
  /** Workloads that are wished there, or that have not gone from there yet. */
  workloads(tx: Transaction, clusterId: Id): Promise<number>;
  /** The same of each of these pools; absent = none. */
  workloadsOfPools(tx: Transaction, poolIds: readonly Id[]): Promise<ReadonlyMap<Id, number>>;
}
