import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { InventoryObservation, NodeUsage } from './cluster-inventory.port.ts';

/** Who shares out what nodes cost. The caller's transaction carries the fence of the cluster's loop. */
export interface NodeMeter {
  /**
   * What a cluster's inventory says now, as it was observed. A node is paid for from its `from`, which is not before the cluster was
   * registered, until an observation does not name it. Writes the differences only, so that the same again writes nothing and an observation
   * that was lost is made good by the next.
   */
  observed(tx: Transaction, clusterId: Id, inventory: InventoryObservation): Promise<void>;
  /**
   * Adds what kubelets told when they were asked at `at`, each 15 to 60 seconds. Readings not newer than what is known of a pod are ignored,
   * so a repeat changes nothing; a gap is averaged over.
   */
  sampled(tx: Transaction, at: Instant, usage: readonly NodeUsage[]): Promise<void>;
}
