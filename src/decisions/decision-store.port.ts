import type { Visible } from '../identity/authorize.ts';
import type { Json } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Decision, DecisionKind } from './decision.ts';

/** A plan that was shown to somebody, so that it can be run by its hash. */
export interface ShownPlan {
  readonly hash: string;
  readonly principalId: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly mutation: string;
  readonly plan: Json;
  readonly createdAt: Instant;
  readonly expiresAt: Instant;
}

export interface DecisionsQuestion {
  readonly subjectId: Id | null;
  readonly kind: DecisionKind | null;
  /** Teams and projects that the caller may read; null = all. */
  readonly visible: Visible | null;
  /** Newest first, only ids below this; null = from the newest. */
  readonly before: Id | null;
  readonly limit: number;
}

/** Decisions and shown plans; each method is one statement. */
export interface DecisionStore {
  insert(tx: Transaction, decision: Decision): Promise<void>;
  /** One more than asked where there are more. */
  list(tx: Transaction, question: DecisionsQuestion): Promise<Decision[]>;
  byIds(tx: Transaction, ids: readonly Id[]): Promise<Decision[]>;
  /** The newest `limit` of each subject. */
  newestOf(tx: Transaction, subjectIds: readonly Id[], limit: number): Promise<Decision[]>;
  /** The same plan again prolongs it. */
  keepPlan(tx: Transaction, shown: ShownPlan): Promise<void>;
  /** Null if it was never shown to this principal, or has expired. */
  shownPlan(
    tx: Transaction,
    key: { readonly hash: string; readonly principalId: Id; readonly mutation: string },
    now: Instant,
  ): Promise<ShownPlan | null>;
  /** Removes expired plans. */
  prunePlans(tx: Transaction, now: Instant): Promise<number>;
}
