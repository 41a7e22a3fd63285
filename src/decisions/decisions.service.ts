import { mayDo, visibleTo } from '../identity/authorize.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Json } from '../kernel/event.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Decision, DecisionDraft, DecisionKind } from './decision.ts';
import type { DecisionStore, ShownPlan } from './decision-store.port.ts';

/** How long a shown plan may be run. Higher runs plans that nobody remembers, lower expires while somebody reads. */
const PLAN_KEPT_MS = 600_000;

/** What was decided and why; and plans that were shown. */
export class DecisionsService {
  readonly #deps: { readonly store: DecisionStore; readonly clock: Clock; readonly random: Random };

  constructor(deps: { readonly store: DecisionStore; readonly clock: Clock; readonly random: Random }) {
    this.#deps = deps;
  }

  /** Writes down a decision in the transaction that carries it out. */
  async record(tx: Transaction, draft: DecisionDraft): Promise<Id> {
    const id = newId(draft.at, this.#deps.random);
    await this.#deps.store.insert(tx, { ...draft, id, expectedSaving: draft.expectedSaving ?? null, realisedSaving: null });
    return id;
  }

  /** Keeps a plan for ten minutes; answers until when. */
  async keepPlan(tx: Transaction, shown: Omit<ShownPlan, 'createdAt' | 'expiresAt'>): Promise<Instant> {
    const now = this.#deps.clock.now();
    const expiresAt = now + PLAN_KEPT_MS;
    await this.#deps.store.prunePlans(tx, now);
    await this.#deps.store.keepPlan(tx, { ...shown, createdAt: now, expiresAt });
    return expiresAt;
  }

  /** The plan as it was shown to this principal; null if never, or too long ago. */
  async shownPlan(
    tx: Transaction,
    principal: Principal,
    key: { readonly hash: string; readonly mutation: string },
  ): Promise<Json> {
    const shown = await this.#deps.store.shownPlan(tx, { ...key, principalId: principal.id }, this.#deps.clock.now());
    return shown?.plan ?? null;
  }

  /** One page, newest first; what the caller may not see is not there. */
  async list(
    tx: Transaction,
    principal: Principal,
    page: {
      readonly subjectId: Id | null;
      readonly kind: DecisionKind | null;
      readonly before: Id | null;
      readonly first: number;
    },
  ): Promise<{ items: Decision[]; hasNextPage: boolean }> {
    const { first, ...question } = page;
    const rows = await this.#deps.store.list(tx, { ...question, visible: visibleTo(principal, 'decision.read'), limit: first });
    return { items: rows.slice(0, first), hasNextPage: rows.length > first };
  }

  /** Null for absent and for forbidden. */
  async byId(tx: Transaction, principal: Principal, id: Id): Promise<Decision | null> {
    const [decision] = await this.#deps.store.byIds(tx, [id]);
    return decision && mayDo(principal, 'decision.read', decision) ? decision : null;
  }

  /** The newest of each subject; the caller must have been given the subjects. */
  async newestOf(tx: Transaction, principal: Principal, subjectIds: readonly Id[], limit: number): Promise<Map<Id, Decision[]>> {
    const rows = await this.#deps.store.newestOf(tx, subjectIds, limit);
    return Map.groupBy(
      rows.filter((row) => mayDo(principal, 'decision.read', row)),
      ({ subjectId }) => subjectId,
    );
  }
}
