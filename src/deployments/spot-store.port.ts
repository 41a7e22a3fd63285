import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { SpotMemory } from './plan-live-spot.ts';

/** What was lived through with spot capacity. Every method is one statement. */
export interface SpotStore {
  /** Live deployments whose wish allows spot capacity. */
  deploymentsOnSpot(tx: Transaction): Promise<Id[]>;
  /** Deployments on one kind of capacity whose replicas gave way to others and are still fewer than wished. */
  gaveWay(tx: Transaction): Promise<Id[]>;
  /** By deployment; absent = none yet. */
  memories(tx: Transaction, deploymentIds: readonly Id[]): Promise<ReadonlyMap<Id, SpotMemory>>;
  saveMemory(tx: Transaction, of: { readonly deploymentId: Id; readonly teamId: Id }, memory: SpotMemory): Promise<void>;
  /** By workload: replicas on nodes that will be taken away, as nodes were last seen. */
  noticed(tx: Transaction): Promise<ReadonlyMap<Id, number>>;
}
