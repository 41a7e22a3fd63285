import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { SpotMemory } from './plan-live-spot.ts';

/** Whose memory it is: a deployment's on one cluster of its wish; '' = on all it is on, where the wish does not share it out over clusters. */
export interface MemoryOwner {
  readonly deploymentId: Id;
  readonly cluster: string;
  readonly teamId: Id;
}

export const memoryKey = (deploymentId: Id, cluster: string): string => `${deploymentId} ${cluster}`;

/** What was lived through with spot capacity. Every method is one statement, and none reads more than it answers. */
export interface SpotStore {
  /** Live deployments whose wish allows spot capacity, or did. */
  deploymentsOnSpot(tx: Transaction): Promise<Id[]>;
  /** Live deployments whose wish names clusters of a later order than the first. */
  standingBy(tx: Transaction): Promise<Id[]>;
  /** Deployments whose replicas gave way to others since their wish last changed, and are still fewer than wished. */
  gaveWay(tx: Transaction): Promise<Id[]>;
  /** By `memoryKey`; absent = none yet. */
  memories(tx: Transaction, deploymentIds: readonly Id[]): Promise<ReadonlyMap<string, SpotMemory>>;
  saveMemory(tx: Transaction, of: MemoryOwner, memory: SpotMemory): Promise<void>;
  /** By workload: replicas on nodes that will be taken away, as nodes were last seen. */
  noticed(tx: Transaction): Promise<ReadonlyMap<Id, number>>;
}
