import { mayDo } from '../identity/authorize.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { ServedStore, ServingInterval } from './served-store.port.ts';

/** Intervals of one version. Higher: a crash loop of months makes a large answer; lower: honest histories are cut. */
const MAX_INTERVALS = 1_000;

/** What was live when. */
export class ServedService {
  readonly #store: ServedStore;

  constructor(store: ServedStore) {
    this.#store = store;
  }

  /** Of each version its newest intervals, of deployments that the caller may read; a version that never served is left out. */
  async intervals(
    tx: Transaction,
    principal: Principal,
    question: { readonly versionIds: readonly Id[]; readonly from: Instant | null; readonly to: Instant | null },
  ): Promise<Map<Id, ServingInterval[]>> {
    if (question.from !== null && question.to !== null && question.from >= question.to) return new Map();
    const rows = await this.#store.intervals(tx, { ...question, limit: MAX_INTERVALS });
    return Map.groupBy(
      rows.filter((row) => mayDo(principal, 'deployment.read', row)),
      ({ versionId }) => versionId,
    );
  }
}
