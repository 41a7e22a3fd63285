import type { Cause } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { ClusterNode, PoolScaling } from './node.ts';

/** A page of the nodes of several clusters, each by name behind `after`. */
export interface NodesQuestion {
  readonly clusterIds: readonly Id[];
  readonly after: string | null;
  /** Of each cluster. */
  readonly limit: number;
}

/** Nodes and how pools scale: platform-wide rows. Every method is one or two statements. */
export interface NodeStore {
  /** Those of a cluster that are not gone. */
  presentNodes(tx: Transaction, clusterId: Id): Promise<ClusterNode[]>;
  nodes(tx: Transaction, question: NodesQuestion): Promise<ClusterNode[]>;
  nodesByIds(tx: Transaction, ids: readonly Id[]): Promise<ClusterNode[]>;
  /** Inserts or updates. */
  saveNodes(tx: Transaction, nodes: readonly ClusterNode[]): Promise<void>;
  scalings(tx: Transaction, poolIds: readonly Id[]): Promise<PoolScaling[]>;
  /** The same, locked until the transaction ends. */
  lockScaling(tx: Transaction, poolId: Id): Promise<PoolScaling | null>;
  /** What somebody asked for: writes its history, too. */
  saveScaling(tx: Transaction, scaling: PoolScaling, cause: Cause): Promise<void>;
  /** What was done and met: only `desiredNodes`, `scaledAt`, `conditions`, `emptying` and `emptiedAt`; its version stays. */
  saveScalingStatus(tx: Transaction, scaling: PoolScaling): Promise<void>;
  /** It scales no more: its machines are given back. Its history stays. */
  dropScaling(tx: Transaction, poolId: Id): Promise<void>;
}
