import type { Id } from '../kernel/id.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** Turns what a person writes (`team/project/name` or a global id) into a row id; null for absent and for forbidden. Safe to repeat. */
export interface EventSubjectStore {
  deploymentId(tx: Transaction, principal: Principal, reference: string): Promise<Id | null>;
  projectId(tx: Transaction, principal: Principal, reference: string): Promise<Id | null>;
  /** False for absent, for gone and for forbidden. */
  isThere(tx: Transaction, principal: Principal, deploymentId: Id): Promise<boolean>;
}
