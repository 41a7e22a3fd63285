import type { DecisionsService } from '../decisions/decisions.service.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import { HOUR_MS, MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import type { Scope } from '../kernel/transaction.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import type { Lease } from '../persistence/lease.ts';
import { backoffMs, type BackoffLimits } from '../reconcile/backoff.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Deployment } from './deployment.ts';
import { redeploy, type Redeployed, type RedeployDeps } from './redeploy.service.ts';

export interface PlaceAnewDeps extends RedeployDeps {
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly scope: Scope;
  readonly principal: Principal;
}

/** Higher: a place that is free again is found late; lower: a whole plan is made in vain, again and again. */
const BACKOFF: BackoffLimits = { baseMs: MINUTE_MS, maxMs: HOUR_MS };

interface Wait {
  /** Of the wish that found no place: a new one is tried at once. */
  readonly generation: number;
  readonly failures: number;
  readonly until: Instant;
  readonly why: string;
}

/** The same wish once more, for what was on a lost cluster: it finds another place among what clusters may rent, under every guard and quota. */
export class PlaceAnew {
  readonly #deps: PlaceAnewDeps;
  readonly #waits = new Map<Id, Wait>();

  constructor(deps: PlaceAnewDeps) {
    this.#deps = deps;
  }

  /** Under the lease or, with `LeaseLost`, not at all. What finds no place is tried again later and later; why is a decision, once per reason. */
  async place(lease: Lease, stranded: Redeployed): Promise<void> {
    const { clock, random, scope, principal } = this.#deps;
    const { id, generation } = stranded.deployment;
    const known = this.#waits.get(id);
    const before = known?.generation === generation ? known : null;
    if (before && clock.now() < before.until) return;
    const why = await redeploy(this.#deps, { scope, lease, principal }, stranded);
    if (why === null) {
      this.#waits.delete(id);
      return;
    }
    const failures = (before?.failures ?? 0) + 1;
    this.#waits.set(id, { generation, failures, until: clock.now() + backoffMs(failures, BACKOFF, random), why });
    if (before?.why !== why) await this.#tell(lease, stranded.deployment, why);
  }

  async #tell(lease: Lease, deployment: Deployment, why: string): Promise<void> {
    const { database, decisions, clock, logger, scope, principal } = this.#deps;
    const { id, teamId, projectId, spec } = deployment;
    logger.warn({ deployment: id, why }, 'what was on a lost cluster finds no place');
    const reasons = [
      `What is wished on a lost cluster finds no other place: ${why}`,
      'It is tried again, less and less often up to once an hour, and at once when the wish changes.',
    ];
    await fencedWrite(database, { scope, lease }, (tx) =>
      decisions.record(tx, {
        ...{ teamId, projectId, deploymentId: id, kind: 'failover', subjectKind: 'Deployment', subjectId: id, at: clock.now() },
        ...{ principal: principal.id, inputs: { replicas: spec.replicas }, candidates: [], rejected: {}, chosen: null, reasons },
        expectedHourly: null,
      }),
    );
  }
}
