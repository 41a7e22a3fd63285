import type { OfferingKey } from '../clouds/offering-key.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { CapacityAnswer } from './capacity-answer.ts';
import type { Growth, GrowthHold, VelocityRecord } from './velocity-breaker.ts';

/** What providers refused, and how fast pools grew. Every method is one or two statements. */
export interface CapacityStore {
  /** All that were refused and have not been given since. */
  answers(tx: Transaction): Promise<CapacityAnswer[]>;
  saveAnswer(tx: Transaction, answer: CapacityAnswer): Promise<void>;
  /** It was given. */
  clearAnswer(tx: Transaction, key: OfferingKey): Promise<void>;
  /** Growth that waits for a person. */
  openHolds(tx: Transaction): Promise<GrowthHold[]>;
  /** What was added since then, and what is held: nobody else adds before the transaction ends. */
  lockVelocity(tx: Transaction, since: Instant): Promise<VelocityRecord>;
  addGrowth(tx: Transaction, growth: Growth): Promise<void>;
  /** Its provider did not give it: it does not count. */
  refuseGrowth(tx: Transaction, growth: Pick<Growth, 'poolId' | 'at'>): Promise<void>;
  hold(tx: Transaction, hold: GrowthHold): Promise<void>;
  /** Of the pool, or (null) of all; false if it is not held. */
  release(tx: Transaction, poolId: Id | null, cause: { readonly at: Instant; readonly principal: string }): Promise<boolean>;
  /** Forgets growth, and holds that were released, before then; at most `limit` of each. Returns how many. */
  prune(tx: Transaction, before: Instant, limit: number): Promise<number>;
}
