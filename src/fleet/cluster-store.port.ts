import type { Cause } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Cluster, Pool } from './cluster.ts';

/** Clusters and their pools: platform-wide rows. */
export interface ClusterStore {
  cluster(tx: Transaction, by: { readonly id: Id } | { readonly name: string }): Promise<Cluster | null>;
  /** The same, locked until the transaction ends. */
  lockCluster(tx: Transaction, id: Id): Promise<Cluster | null>;
  /** By name, after that name, one more than asked where there are more; removed ones are left out. */
  clusters(tx: Transaction, window: { readonly after: string | null; readonly limit: number }): Promise<Cluster[]>;
  /** Every one that is not removed, the first registered first. */
  present(tx: Transaction): Promise<Cluster[]>;
  clustersByIds(tx: Transaction, ids: readonly Id[]): Promise<Cluster[]>;
  pools(tx: Transaction, clusterIds: readonly Id[]): Promise<Pool[]>;
  /**
   * Those of these that are not removed, locked until the transaction ends: what is about to be placed there (`use`) keeps them from being
   * changed, and the other way round.
   */
  lockPools(tx: Transaction, ids: readonly Id[], mode: 'use' | 'change'): Promise<Pool[]>;
  /** Whoever places by what may be rented waits for the others that do, until their transaction ends: together they keep the limits. */
  lockSources(tx: Transaction): Promise<void>;
  /** Null for removed ones, too. */
  pool(tx: Transaction, id: Id): Promise<Pool | null>;
  /** False if a cluster of this name exists; it waits for one that is being made. */
  insertCluster(tx: Transaction, cluster: Cluster, principal: string): Promise<boolean>;
  /** Pools for which machines are rented: those that scale, and those that were removed and are being given back. */
  rentedPools(tx: Transaction, clusterIds: readonly Id[]): Promise<Pool[]>;
  /** False if the cluster has a pool of this name; writes its history, too. */
  insertPool(tx: Transaction, pool: Pool, principal: string): Promise<boolean>;
  /** What somebody asked for, its removal included; writes its history, too. */
  updatePool(tx: Transaction, pool: Pool, cause: Cause): Promise<void>;
  /** What somebody asked for. Its new version is in `cluster`; writes its history, too, like the insertion. */
  updateCluster(tx: Transaction, cluster: Cluster, cause: Cause): Promise<void>;
  /** What was seen of it or is under way there: conditions, removals, rebuilds. Its version stays, so that nobody meets a conflict. */
  updateStatus(tx: Transaction, cluster: Cluster): Promise<void>;
}
