import type { DeploymentStore } from '../deployments/deployment-store.port.ts';
import { visibleTo, type Action } from '../identity/authorize.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsd } from '../kernel/money.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { PriceStore } from '../pricing/price-store.port.ts';
import type { CostsService } from './costs.service.ts';
import { makeSnapshot, type PastAlias, type PastDeployment } from './snapshot.ts';
import type { PastQuestion, SnapshotStore } from './snapshot-store.port.ts';

export interface SnapshotDeps {
  readonly store: SnapshotStore;
  readonly deployments: Pick<DeploymentStore, 'revisions'>;
  readonly prices: Pick<PriceStore, 'rowsOf'>;
  readonly costs: Pick<CostsService, 'breakdown' | 'breakdownsOf'>;
}

/** One page of something at an instant. */
export interface PastPage {
  readonly instant: Instant;
  readonly after: string | null;
  readonly first: number;
}

interface Page<T> {
  readonly items: readonly T[];
  readonly hasNextPage: boolean;
}

/** What served at an instant of the past, how traffic was split, at which prices, and what it had cost by then. */
export class SnapshotService {
  readonly #deps: SnapshotDeps;

  constructor(deps: SnapshotDeps) {
    this.#deps = deps;
  }

  /** Deployments by path; five statements whatever the page. */
  async deployments(tx: Transaction, principal: Principal, page: PastPage): Promise<Page<PastDeployment>> {
    const { store, deployments, prices } = this.#deps;
    const { instant, first } = page;
    const found = await store.wishes(tx, questionOf(principal, 'deployment.read', page));
    const wishes = found.slice(0, first);
    const ids = wishes.map(({ deploymentId }) => deploymentId);
    const revisions = await deployments.revisions(tx, ids);
    const rollouts = await store.rollouts(tx, ids, instant);
    const replicas = await store.replicas(tx, ids, instant);
    const offerings = [...new Set(replicas.map(({ offeringId }) => offeringId))];
    const facts = { wishes, revisions, rollouts, replicas, prices: await prices.rowsOf(tx, offerings, instant + 1) };
    return { items: makeSnapshot(facts, instant), hasNextPage: found.length > first };
  }

  /** Aliases by model path and name. */
  async aliases(tx: Transaction, principal: Principal, page: PastPage): Promise<Page<PastAlias>> {
    const found = await this.#deps.store.aliases(tx, questionOf(principal, 'model.read', page));
    return { items: found.slice(0, page.first), hasNextPage: found.length > page.first };
  }

  /** All that the principal may see, as the ledger told it at that instant. */
  async cost(tx: Transaction, principal: Principal, instant: Instant): Promise<PicoUsd> {
    const { total } = await this.#deps.costs.breakdown(tx, principal, { ...until(instant), groupBy: [] });
    return total.cost;
  }

  /** Likewise of each deployment; one that had no line yet cost nothing. */
  async costsOf(
    tx: Transaction,
    principal: Principal,
    deploymentIds: readonly Id[],
    instant: Instant,
  ): Promise<Map<Id, PicoUsd>> {
    const found = await this.#deps.costs.breakdownsOf(tx, principal, {
      ...until(instant),
      dimension: 'DEPLOYMENT',
      ids: deploymentIds,
    });
    return new Map([...found].map(([id, { total }]) => [id, total.cost]));
  }
}

/** Lines of any minute up to the instant, written before it. */
const until = (instant: Instant) => ({ from: 0, to: instant, asOf: instant, now: instant });

const questionOf = (principal: Principal, action: Action, { instant, after, first }: PastPage): PastQuestion => ({
  instant,
  after,
  limit: first,
  visible: visibleTo(principal, action),
});
