import type { DecisionStore } from '../decisions/decision-store.port.ts';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import type { Clock } from '../kernel/clock.ts';
import { canonicalJson } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import { formatUsd } from '../kernel/money.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import type { Lease } from '../persistence/lease.ts';
import { WORTH_IT, type RateStep, type WorthItVerdict } from '../pricing/worth-it.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { DeployService } from './deploy.service.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import type { PlannedDeployment } from './plan-deployment.ts';
import { judgeMove, type MoveQuestion } from './plan-move.ts';
import { asItIs, redeploy } from './redeploy.service.ts';
import type { Revision } from './revision.ts';

export interface MovesDeps {
  readonly database: Database;
  readonly store: Pick<DeploymentStore, 'liveDeployments' | 'rollouts' | 'revisions' | 'workloads'>;
  readonly deploy: Pick<DeployService, 'weigh' | 'deployWithin'>;
  readonly prices: Pick<PricesService, 'stepsOf'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly decided: Pick<DecisionStore, 'newestOf'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Null while another instance leads. */
  readonly lease: () => Lease | null;
}

interface Weighed extends Omit<MoveQuestion, 'disruption'> {
  readonly deployment: Deployment;
  readonly modelVersion: number;
  readonly planned: PlannedDeployment;
  /** True: this very move was proposed already. */
  readonly isKnown: boolean;
}

/** Null = this instance does not lead. */
export type MovesInput = {
  readonly lease: Lease;
  readonly weighed: readonly Weighed[];
  readonly disruption: MoveQuestion['disruption'];
} | null;
export type MovesPass = {
  readonly lease: Lease;
  readonly moves: readonly (Weighed & { readonly verdict: WorthItVerdict })[];
} | null;

/** How often it is looked. Higher: a cheaper place is found late; lower: plans are made in vain. */
export const MOVES_MS = 10 * MINUTE_MS;
/** Deployments that are placed anew, on paper, in one pass; the next pass goes on from there. Higher: a pass takes longer; lower: each has its turn later. */
const MAX_LOOKED = 50;
/** Of all deployments, those that may be on their way at a time: one in ten, at least one. Higher: less stands still meanwhile. */
const MOVING_SHARE = 0.1;
/** Decisions that are looked through for the same proposal. Higher: more is read; lower: it is made again after so many others. */
const MAX_DECISIONS = 20;

const SCOPE: Scope = { kind: 'reconciler', loop: 'moves' };
const PRINCIPAL: Principal = {
  ...{ id: 'reconciler:moves', kind: 'service_account', name: 'moves', tokenId: null },
  grants: [{ role: 'platform_admin', teamId: null, projectId: null }],
  platformActions: ['runtime.process', 'runtime.adopt'],
};
const CALLER = { principal: PRINCIPAL, idempotencyKey: null };

/** Looks for a cheaper place for what runs on rented machines, and proposes it where it is worth it; whose policy says so is moved there. */
export class MovesReconciler implements Reconciliation<MovesInput, MovesPass> {
  readonly #deps: MovesDeps;
  #after: Id = '';

  constructor(deps: MovesDeps) {
    this.#deps = deps;
  }

  async prepare(): Promise<MovesInput> {
    const lease = this.#deps.lease();
    if (!lease) return null;
    const world = await this.#deps.database.read(SCOPE, (tx) => this.#look(tx));
    return { lease, ...world };
  }

  plan(input: MovesInput, now: Instant): MovesPass {
    if (!input) return null;
    let { underWay } = input.disruption;
    const moves = input.weighed.flatMap((one) => {
      const verdict = judgeMove({ ...one, disruption: { ...input.disruption, underWay } }, now);
      if (!verdict?.worth || (one.isKnown && !movesByItself(one))) return [];
      if (movesByItself(one)) underWay += 1;
      return [{ ...one, verdict }];
    });
    return { lease: input.lease, moves };
  }

  async execute(pass: MovesPass, signal: AbortSignal): Promise<void> {
    if (!pass) return;
    for (const move of pass.moves) {
      signal.throwIfAborted();
      if (movesByItself(move)) await this.#move(pass.lease, move);
      else await fencedWrite(this.#deps.database, { scope: SCOPE, lease: pass.lease }, (tx) => this.#propose(tx, move));
    }
  }

  async #look(tx: Transaction): Promise<Pick<NonNullable<MovesInput>, 'weighed' | 'disruption'>> {
    const { store, decided } = this.#deps;
    const live = await store.liveDeployments(tx);
    const moving = new Set((await store.rollouts(tx, idsOf(live))).filter(isOpen).map(({ deploymentId }) => deploymentId));
    const settled = this.#turn(live.filter((one) => isSettled(one) && !moving.has(one.id)));
    const revisions = await store.revisions(tx, idsOf(settled));
    const told = Map.groupBy(await decided.newestOf(tx, idsOf(settled), MAX_DECISIONS), ({ subjectId }) => subjectId);
    const weighed: Weighed[] = [];
    for (const deployment of settled) {
      const [only, ...others] = deployment.spec.traffic.filter(({ weight }) => weight > 0);
      const revision = revisions.find((one) => one.deploymentId === deployment.id && one.number === only?.revision);
      const found = revision && others.length === 0 ? await this.#weigh(tx, deployment, revision) : null;
      const proposed = (told.get(deployment.id) ?? [])
        .filter(({ kind }) => kind === 'move')
        .map(({ inputs }) => canonicalJson(inputs));
      if (found) weighed.push({ ...found, isKnown: proposed.includes(canonicalJson(inputsOf(found))) });
    }
    const allowed = Math.max(1, Math.floor(live.length * MOVING_SHARE));
    return { weighed, disruption: { underWay: moving.size, allowed } };
  }

  /** The next ones by id, from the first again when all had their turn. */
  #turn(settled: readonly Deployment[]): readonly Deployment[] {
    const sorted = [...settled].sort((a, b) => (a.id < b.id ? -1 : 1));
    const next = sorted.filter(({ id }) => id > this.#after).slice(0, MAX_LOOKED);
    this.#after = next.length < MAX_LOOKED ? '' : (next.at(-1)?.id ?? '');
    return next;
  }

  /** Null = it has no other place, or none that is known. */
  async #weigh(tx: Transaction, deployment: Deployment, { id, spec }: Revision): Promise<Omit<Weighed, 'isKnown'> | null> {
    const { store, deploy, prices, clock } = this.#deps;
    const modelVersion = spec.modelVersionNumber;
    const { wish, options } = asItIs({ deployment, modelVersion });
    const weighed = await deploy.weigh(tx, CALLER, wish, { ...options, placeAnew: true });
    if (!weighed.ok || !weighed.value.pools.some(({ rented }) => rented)) return null;
    const held = (await store.workloads(tx, [deployment.id])).filter(
      ({ revisionId, removedAt, replicas }) => revisionId === id && removedAt === null && replicas > 0,
    );
    if (held.length === 0) return null;
    const places = weighed.value.pools;
    const now = clock.now();
    const offerings = [...new Set([...held, ...places].map(({ offeringId }) => offeringId))];
    const sold = await prices.stepsOf(tx, offerings, now - WORTH_IT.lookbackMs, now);
    const steps = new Map<Id, readonly RateStep[]>([...sold]);
    return { deployment, modelVersion, planned: weighed.value, held, places, steps };
  }

  /** Refused = it stays. */
  async #move(lease: Lease, move: MovesStep): Promise<void> {
    const { logger } = this.#deps;
    const how = { placeAnew: true, because: reasonsOf(move) };
    const why = await redeploy(this.#deps, { scope: SCOPE, lease, principal: PRINCIPAL }, move, how);
    if (why !== null) logger.info({ deployment: move.deployment.id, why }, 'a move that is worth it was refused');
  }

  async #propose(tx: Transaction, move: MovesStep): Promise<void> {
    const { id, teamId, projectId } = move.deployment;
    const { plan } = move.planned;
    await this.#deps.decisions.record(tx, {
      ...{ teamId, projectId, deploymentId: id, kind: 'move', subjectKind: 'Deployment', subjectId: id },
      ...{
        at: this.#deps.clock.now(),
        principal: PRINCIPAL.id,
        inputs: inputsOf(move),
        candidates: [],
        rejected: {},
        chosen: null,
      },
      reasons: [...reasonsOf(move), 'It is proposed, not done: deploy it with placeAnew, or let its policy move it.'],
      expectedHourly: plan.peakHourly,
      ...(move.verdict.saving === null ? {} : { expectedSaving: move.verdict.saving - move.verdict.cost }),
    });
  }
}

type MovesStep = NonNullable<MovesPass>['moves'][number];

const idsOf = (rows: readonly { readonly id: Id }[]): Id[] => rows.map(({ id }) => id);

const isOpen = ({ endedAt }: { readonly endedAt: Instant | null }): boolean => endedAt === null;

/** On rented machines that nobody takes away; those on spot follow its market by themselves. */
const isSettled = ({ phase, spec: { replicas, placement } }: Deployment): boolean =>
  phase === 'READY' && replicas > 0 && (placement.places ?? []).length > 0 && !placement.capacityTypes.includes('spot');

const movesByItself = ({ deployment }: Weighed): boolean => deployment.spec.placement.policy?.moves === true;

/** What a proposal is the same by. */
const inputsOf = ({ deployment, places }: Pick<Weighed, 'deployment' | 'places'>) => ({
  generation: deployment.generation,
  to: places.map(({ clusterName, pool, replicas }) => `${replicas} on ${clusterName}/${pool.name}`).sort(),
});

function reasonsOf({ places, planned: { plan }, verdict }: MovesStep): string[] {
  const to = places.map(({ clusterName, pool, replicas }) => `${replicas} on ${clusterName}/${pool.name}`).join(', ');
  const less = plan.costDelta < 0n ? `, ${formatUsd(-plan.costDelta)} USD per hour less than now` : '';
  return [`Placed anew it would be ${to}${less}.`, ...verdict.reasons.map(({ message }) => message)];
}
