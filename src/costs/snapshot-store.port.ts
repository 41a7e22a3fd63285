import type { Visible } from '../identity/authorize.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { PastAlias, PastReplica, PastRollout, PastWish } from './snapshot.ts';

/** A page of what was at an instant. */
export interface PastQuestion {
  readonly instant: Instant;
  /** Teams and projects that the caller may read; null = all. */
  readonly visible: Visible | null;
  /** Sort key of the last one seen. */
  readonly after: string | null;
  readonly limit: number;
}

/** What the history twins tell of an instant. Each method is one statement. */
export interface SnapshotStore {
  /** Deployments whose wish held then, by path, one more than asked where there are more. Deleted ones are not there. */
  wishes(tx: Transaction, question: PastQuestion): Promise<PastWish[]>;
  /** Of each deployment the newest rollout that had started. */
  rollouts(tx: Transaction, deploymentIds: readonly Id[], instant: Instant): Promise<PastRollout[]>;
  /** Those that held their slot, oldest first. */
  replicas(tx: Transaction, deploymentIds: readonly Id[], instant: Instant): Promise<PastReplica[]>;
  /** Aliases by model path and name (joined by `@`), one more than asked where there are more. */
  aliases(tx: Transaction, question: PastQuestion): Promise<PastAlias[]>;
}
