import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { KnownNode, KnownPod, NodeFacts } from './plan-node-facts.ts';
import type { PodReading, UseOfMinute } from './pod-use.ts';

export interface KnownCluster {
  readonly name: string;
  /** Those that are there and those that were asked for. */
  readonly nodes: readonly KnownNode[];
  readonly pods: readonly KnownPod[];
}

/** What is written down of nodes and pods. Every method is a fixed number of statements. */
export interface NodeFactsStore {
  known(
    tx: Transaction,
    clusterId: Id,
    seen: { readonly nodeIds: readonly Id[]; readonly podIds: readonly Id[] },
  ): Promise<KnownCluster>;
  /** Nobody closes minutes of these nodes, or writes down more of them, before this transaction ends. Returns their clusters. */
  lockNodes(tx: Transaction, nodeIds: readonly Id[]): Promise<Id[]>;
  /** Writes facts down and queues what closed minutes say otherwise, of replicas too that are placed for the first time. */
  saveFacts(tx: Transaction, clusterId: Id, facts: NodeFacts): Promise<void>;
  /** The last reading of each of these pods that is placed, and the node that it is on; null = none yet. */
  readings(
    tx: Transaction,
    podIds: readonly Id[],
  ): Promise<ReadonlyMap<Id, { readonly nodeId: Id; readonly last: PodReading | null }>>;
  saveReadings(tx: Transaction, readings: readonly PodReading[]): Promise<void>;
  /** Adds to the minutes and queues those that are closed. */
  addUse(tx: Transaction, use: readonly (UseOfMinute & { readonly nodeId: Id })[]): Promise<void>;
  /** Never goes back. */
  saveSampled(tx: Transaction, nodes: readonly { readonly nodeId: Id; readonly through: Instant }[]): Promise<void>;
}
