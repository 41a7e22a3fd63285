import type { Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { IdentityStore } from './identity-store.port.ts';
import { checkQuotas, shortagesOf, type QuotaResource, type QuotaUse } from './quotas.ts';

export interface QuotaQuestion {
  readonly teamId: Id;
  readonly projectId: Id;
  readonly resource: QuotaResource;
  /** Held now, without what is wanted. */
  readonly use: QuotaUse;
  readonly wanted: bigint;
}

/** Asked by every use case that takes more of something. */
export class QuotasService {
  readonly #store: IdentityStore;

  constructor(store: IdentityStore) {
    this.#store = store;
  }

  /** Null if it fits; the caller's transaction must hold the rows that `use` was counted from. */
  async check(tx: Transaction, question: QuotaQuestion): Promise<Failure | null> {
    const { teamId, projectId, resource, use, wanted } = question;
    return checkQuotas(await this.#store.findQuotas(tx, teamId, projectId, resource), use, wanted);
  }

  /** By how much each quota of the question is too small; empty if it fits. */
  async shortages(
    tx: Transaction,
    { teamId, projectId, resource, use, wanted }: QuotaQuestion,
  ): Promise<{ readonly projectId: Id | null; readonly by: bigint }[]> {
    return shortagesOf(await this.#store.findQuotas(tx, teamId, projectId, resource), use, wanted);
  }

  /** Replicas that these teams may hold; a team without such a quota is absent. */
  async replicaLimits(tx: Transaction, teamIds: readonly Id[]): Promise<ReadonlyMap<Id, number>> {
    const quotas = teamIds.length === 0 ? [] : await this.#store.teamQuotas(tx, teamIds, 'replicas');
    return new Map(quotas.map(({ teamId, maximum }) => [teamId, Number(maximum)]));
  }
}
