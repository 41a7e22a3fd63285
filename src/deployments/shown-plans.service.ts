import type { DecisionsService } from '../decisions/decisions.service.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { changesBetween, mayRun, type Plan } from './plan.ts';
import { planFromJson, planToJson } from './plan-json.ts';

/** Whose plan it is, and of which mutation: it runs for nobody and nothing else. */
export interface PlanOwner {
  readonly principal: Principal;
  readonly mutation: string;
  readonly teamId: Id;
  readonly projectId: Id;
}

/** Plans that were shown by a dry run and may be run by their hash for ten minutes. */
export class ShownPlans {
  readonly #decisions: Pick<DecisionsService, 'keepPlan' | 'shownPlan'>;

  constructor(decisions: Pick<DecisionsService, 'keepPlan' | 'shownPlan'>) {
    this.#decisions = decisions;
  }

  /** Keeps it; answers until when it can be run. */
  keep(tx: Transaction, { principal, ...owner }: PlanOwner, plan: Plan): Promise<Instant> {
    return this.#decisions.keepPlan(tx, { ...owner, principalId: principal.id, hash: plan.hash, plan: planToJson(plan) });
  }

  /** Null if the plan of now is the shown one and not dearer; else CONFLICT, with both plans in `details`. */
  async refuseChanged(
    tx: Transaction,
    { principal, mutation }: Pick<PlanOwner, 'principal' | 'mutation'>,
    { hash, now }: { readonly hash: string; readonly now: Plan },
  ): Promise<Failure | null> {
    const json = await this.#decisions.shownPlan(tx, principal, { hash, mutation });
    const shown = json === null ? null : planFromJson(json);
    if (shown && mayRun(shown, now)) return null;
    const changes = shown ? changesBetween(shown, now) : [];
    const message = shown
      ? ['The plan is no longer what was shown, or has become dearer.', ...changes].join(' ')
      : 'This plan was not shown to you in the last ten minutes.';
    return failure('CONFLICT', message, {
      path: ['planHash'],
      hint: 'Look at the new plan and pass its hash.',
      details: { shown: json, plan: planToJson(now) },
    });
  }
}
