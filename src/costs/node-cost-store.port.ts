import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { NodeLife, PodUse, Quantities } from './attribute-node.ts';
import type { Stretch } from './attribute-costs.ts';
import type { BookedLine } from './restate.ts';

/** How far a node's minutes are closed. */
export interface MeteredNode {
  readonly nodeId: Id;
  readonly closedUntil: Instant;
  /** It is gone and all its minutes are closed. */
  readonly ended: boolean;
}

/** The same, with what tells whether more can be closed. */
export interface NodeProgress {
  readonly nodeId: Id;
  readonly closedUntil: Instant;
  readonly capacityUntil: Instant | null;
  /** What its pods used until then was told. */
  readonly sampledThrough: Instant;
  /** Prices have come to be known since closed minutes were computed. */
  readonly changed: boolean;
}

/** A stretch of time in which a pod may have been on the node: replicas are there only while they live. */
export interface Placement extends Stretch {
  readonly requests: Quantities;
}

export interface PlacedPod {
  readonly podId: Id;
  readonly isReplica: boolean;
  readonly placements: readonly Placement[];
  readonly use: ReadonlyMap<Instant, PodUse>;
}

/** Everything about a node that its lines depend on, except lives and usage of replicas. */
export interface CostedNode extends NodeLife {
  readonly nodeId: Id;
  readonly clusterId: Id;
  readonly name: string;
  /** By uid; those that may have been there in the range that was asked for. */
  readonly pods: readonly PlacedPod[];
  /** By shape: how many believed prices its offering has, and how many of them closed minutes were computed with. */
  readonly prices: readonly { readonly known: number; readonly seen: number }[];
  /** From when the prices that closed minutes do not know are in force, by shape not before it; empty = none. */
  readonly news: readonly Instant[];
}

export interface Span {
  readonly from: Instant;
  readonly to: Instant;
}

/** Nodes as the ledger needs them. Every method is a fixed number of statements. */
export interface NodeCostStore {
  /** Nodes that were there after `since` and may have something to close or to restate. */
  openNodes(tx: Transaction, since: Instant): Promise<NodeProgress[]>;
  /** True if minutes of some node before the end of the range are not closed. */
  anyOpen(tx: Transaction, range: Span): Promise<boolean>;
  queuedNodes(tx: Transaction, limit: number): Promise<{ readonly nodeId: Id; readonly minutes: readonly Instant[] }[]>;
  /** Locks it until the transaction ends. */
  lockNode(tx: Transaction, nodeId: Id): Promise<MeteredNode | null>;
  costedNodes(tx: Transaction, nodeIds: readonly Id[], range: Span): Promise<CostedNode[]>;
  /** The node that each of these replicas was placed on last; those on none are left out. */
  nodesOf(tx: Transaction, replicaIds: readonly Id[]): Promise<ReadonlyMap<Id, Id>>;
  bookedNodeLines(
    tx: Transaction,
    nodeId: Id,
    minutes: readonly Instant[],
  ): Promise<ReadonlyMap<Instant, ReadonlyMap<Id, BookedLine[]>>>;
  saveNode(tx: Transaction, node: MeteredNode, prices: CostedNode['prices']): Promise<void>;
  /** Closed minutes of `[from, to)` are to be stated anew. */
  queueNode(tx: Transaction, nodeId: Id, range: Span): Promise<void>;
  dropNodeRestatements(tx: Transaction, nodeId: Id, minutes: readonly Instant[]): Promise<void>;
  /** Forgets use of minutes before `before`, at most `limit` rows. Returns how many. */
  pruneUse(tx: Transaction, before: Instant, limit: number): Promise<number>;
}
