import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** Who knows what a replica on a shared node costs. */
export interface ReplicaRates {
  /**
   * The present rate of each of these replicas that is on a known node: its share of the node's price by what it asked for; null where the
   * node has no price. Those that are on no known node are left out: they cost what their offering costs.
   */
  ratesOf(tx: Transaction, replicaIds: readonly Id[], now: Instant): Promise<ReadonlyMap<Id, PicoUsdPerHour | null>>;
}
