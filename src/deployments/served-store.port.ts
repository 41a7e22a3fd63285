import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** A stretch of time in which at least one replica of a deployment was ready for requests with this model version. */
export interface ServingInterval {
  readonly versionId: Id;
  readonly deploymentId: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  /** `team/project/deployment`, also of one that is gone. */
  readonly deploymentPath: string;
  readonly from: Instant;
  /** Null = still. */
  readonly to: Instant | null;
}

export interface ServedQuestion {
  readonly versionIds: readonly Id[];
  /** Only intervals that touch `[from, to)`; null = open to that side. */
  readonly from: Instant | null;
  readonly to: Instant | null;
  /** Newest so many of each version. */
  readonly limit: number;
}

/** When versions served, from what was observed of replicas. */
export interface ServedStore {
  /** Newest first; intervals of one deployment and version neither overlap nor touch. One statement. */
  intervals(tx: Transaction, question: ServedQuestion): Promise<ServingInterval[]>;
}
