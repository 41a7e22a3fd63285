import type { DecisionKind } from '../decisions/decision.ts';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import { mayDo, visibleTo } from '../identity/authorize.ts';
import type { Caller, ProjectRef } from '../identity/identity.service.ts';
import type { IdentityStore } from '../identity/identity-store.port.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Json } from '../kernel/event.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Principal } from '../kernel/principal.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Commands } from '../persistence/commands.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import { refuseAction, type DeploymentAction } from './allowed-actions.ts';
import { brokenGuard } from './broken-guard.ts';
import {
  checkTraffic,
  deploymentPath,
  priorityOf,
  withReplicas,
  type Deployment,
  type DeploymentPhase,
  type TrafficWeight,
} from './deployment.ts';
import type { DeploymentRef, DeploymentStore } from './deployment-store.port.ts';
import { refuseStale } from './deploy.service.ts';
import { growsIn, peakOf, placedAt, planChange, type ChangeInput } from './plan-change.ts';
import { HIBERNATION_RISK, type CurrentDeployment } from './plan-deployment.ts';
import type { PricedPool } from './placement.ts';
import { planToJson } from './plan-json.ts';
import type { Plan, PlanAction } from './plan.ts';
import type { Replica } from './replica.ts';
import type { Revision } from './revision.ts';
import { effectiveWeights, type Rollout } from './rollout.ts';
import { ShownPlans } from './shown-plans.service.ts';
import type { WishWriter } from './wish-writer.service.ts';
import { knownHourlyOf } from './workload-cost.ts';

export interface DeploymentsDeps {
  readonly commands: Commands;
  readonly store: DeploymentStore;
  readonly writer: WishWriter;
  readonly identity: Pick<IdentityStore, 'findProject'>;
  readonly prices: Pick<PricesService, 'ratesAt' | 'priced'>;
  readonly decisions: Pick<DecisionsService, 'record' | 'keepPlan' | 'shownPlan'>;
  readonly clock: Clock;
}

export interface ChangeOptions {
  readonly deployment: DeploymentRef;
  /** The generation that the caller has seen. */
  readonly expectedVersion: number | null;
  /** Whom the caller acts for; absent = itself. */
  readonly manager?: string | null;
  /** Only show the plan. */
  readonly dryRun?: boolean;
  /** Run exactly this plan and not dearer, or nothing. */
  readonly planHash?: string | null;
}

/** Whose, which, and the plan as JSON: every mutation of one deployment answers with these, also under a repeated key. */
export type ChangeOutcome = {
  readonly deploymentId: Id;
  readonly decisionId: Id | null;
  readonly plan: Json;
  /** When the shown plan expires; null when it was run. */
  readonly expiresAt: number | null;
};

/** A wish that follows from the present state, before guards are checked. */
interface NextWish {
  readonly next: Deployment;
  readonly rolloutTo: Revision | null;
  readonly action: PlanAction;
  readonly risks?: readonly string[];
  readonly reasons: readonly string[];
}

interface Verb {
  readonly mutation: string;
  readonly action: DeploymentAction;
  readonly kind: DecisionKind;
  decide(current: CurrentDeployment, now: number): Result<NextWish, Failure>;
}

/** A change with everything that carrying it out takes. */
interface Change extends NextWish {
  readonly current: CurrentDeployment;
  readonly pools: readonly PricedPool[];
  readonly verb: Verb;
  readonly principal: Principal;
}

/** Reads deployments and changes the wishes of those that exist. */
export class DeploymentsService {
  readonly #deps: DeploymentsDeps;
  readonly #shown: ShownPlans;

  constructor(deps: DeploymentsDeps) {
    this.#deps = deps;
    this.#shown = new ShownPlans(deps.decisions);
  }

  /** Null for absent and for forbidden. */
  async deployment(tx: Transaction, principal: Principal, ref: DeploymentRef): Promise<Deployment | null> {
    const deployment = await this.#deps.store.deployment(tx, ref);
    return deployment && mayDo(principal, 'deployment.read', deployment) ? deployment : null;
  }

  /** In the order of `ids`; null for absent and for forbidden. */
  async byIds(tx: Transaction, principal: Principal, ids: readonly Id[]): Promise<(Deployment | null)[]> {
    const found = new Map((await this.#deps.store.deploymentsByIds(tx, ids)).map((row) => [row.id, row]));
    return ids.map((id) => {
      const row = found.get(id);
      return row && mayDo(principal, 'deployment.read', row) ? row : null;
    });
  }

  /** One page by path; what the caller may not see is not there. */
  async deployments(
    tx: Transaction,
    principal: Principal,
    page: {
      project: ProjectRef | null;
      phases: readonly DeploymentPhase[] | null;
      nameContains: string | null;
      after: string | null;
      first: number;
    },
  ): Promise<{ items: Deployment[]; hasNextPage: boolean }> {
    const project = page.project && (await this.#deps.identity.findProject(tx, page.project));
    if (page.project && !project) return { items: [], hasNextPage: false };
    const { phases, nameContains, after, first } = page;
    const rows = await this.#deps.store.deployments(tx, {
      projectId: project?.id ?? null,
      phases,
      nameContains,
      after,
      visible: visibleTo(principal, 'deployment.read'),
      limit: first,
    });
    return { items: rows.slice(0, first), hasNextPage: rows.length > first };
  }

  /** Those that run a version of each model (or that version itself) now. */
  async deploymentsOf(
    tx: Transaction,
    principal: Principal,
    of: { readonly modelIds?: readonly Id[]; readonly versionIds?: readonly Id[] },
  ) {
    const rows = await this.#deps.store.deploymentsOf(tx, of);
    return Map.groupBy(
      rows.filter(({ deployment }) => mayDo(principal, 'deployment.read', deployment)),
      ({ key }) => key,
    );
  }

  /** What lies below deployments that the caller has been given; one statement each. */
  revisions = (tx: Transaction, ids: readonly Id[]): Promise<Revision[]> => this.#deps.store.revisions(tx, ids);
  rollouts = (tx: Transaction, ids: readonly Id[]): Promise<Rollout[]> => this.#deps.store.rollouts(tx, ids);
  replicas = (tx: Transaction, ids: readonly Id[]): Promise<Replica[]> => this.#deps.store.replicas(tx, ids);
  revisionsByIds = (tx: Transaction, ids: readonly Id[]): Promise<Revision[]> => this.#deps.store.revisionsByIds(tx, ids);
  clusterNames = (tx: Transaction, ids: readonly Id[]) => this.#deps.store.clusterNames(tx, ids);

  /** Pico-USD per hour of each deployment as wished now, as far as prices are known: every workload that is not being given up. */
  async hourly(tx: Transaction, deploymentIds: readonly Id[]): Promise<Map<Id, PicoUsdPerHour>> {
    const { store, prices, clock } = this.#deps;
    const workloads = (await store.workloads(tx, deploymentIds)).filter(({ removedAt }) => removedAt === null);
    const rates = await prices.ratesAt(
      tx,
      workloads.map(({ offeringId }) => offeringId),
      clock.now(),
    );
    const own = Map.groupBy(workloads, ({ deploymentId }) => deploymentId);
    return new Map([...own].map(([id, some]) => [id, knownHourlyOf(some, rates)]));
  }

  /** Null for absent and for forbidden: reading logs is a right of its own. */
  async replicaForLogs(tx: Transaction, principal: Principal, id: Id): Promise<Replica | null> {
    const replica = await this.#deps.store.replica(tx, id);
    return replica && mayDo(principal, 'deployment.logs', replica) ? replica : null;
  }

  replicasByIds = (tx: Transaction, ids: readonly Id[]): Promise<Replica[]> => this.#deps.store.replicasByIds(tx, ids);

  /** For what was found by its id alone and not below a deployment. */
  mayRead = (principal: Principal, row: Pick<Revision, 'teamId' | 'projectId'>): boolean =>
    mayDo(principal, 'deployment.read', row);

  mayWrite = (principal: Principal, deployment: Deployment): boolean => mayDo(principal, 'deployment.write', deployment);

  /** Changes the number of replicas of every revision that gets traffic; 0 hibernates it. */
  scale(caller: Caller, options: ChangeOptions, replicas: number): Promise<Result<ChangeOutcome, Failure>> {
    const decide: Verb['decide'] = (current, now) => {
      const { spec } = current.deployment;
      if (!Number.isInteger(replicas) || replicas < 0)
        return err(failure('INVALID_INPUT', 'replicas must be at least 0.', { path: ['input', 'replicas'] }));
      const next = wished(current, withReplicas(spec, replicas), now);
      const message = `Scale ${path(current)} from ${spec.replicas} to ${replicas} replicas${replicas === 0 ? ': it hibernates' : ''}.`;
      const action: PlanAction = { kind: 'SCALE', message };
      const reasons = [`From ${spec.replicas} to ${replicas} replicas by request.`];
      return ok({ next, rolloutTo: null, action, risks: replicas === 0 ? [HIBERNATION_RISK] : [], reasons });
    };
    return this.#run(
      caller,
      { ...options, input: { replicas } },
      { mutation: 'scaleDeployment', action: 'SCALE', kind: 'scale', decide },
    );
  }

  /** Shares traffic among revisions; those that have no replicas get them first. */
  setTraffic(caller: Caller, options: ChangeOptions, weights: readonly TrafficWeight[]): Promise<Result<ChangeOutcome, Failure>> {
    const decide: Verb['decide'] = (current, now) => {
      const wrong = checkTraffic(weights);
      if (wrong) return err(wrong);
      const unknown = weights.find(({ revision }) => !current.revisions.some(({ number }) => number === revision));
      if (unknown)
        return err(failure('INVALID_INPUT', `There is no revision ${unknown.revision}.`, { path: ['input', 'weights'] }));
      const traffic = weights.filter(({ weight }) => weight > 0);
      const next = wished(current, { ...current.deployment.spec, traffic }, now);
      const told = traffic.map(({ revision, weight }) => `revision ${revision} ${weight} %`).join(', ');
      const action: PlanAction = { kind: 'SET_TRAFFIC', message: `Share the traffic of ${path(current)}: ${told}.` };
      return ok({ next, rolloutTo: null, action, reasons: [`Traffic by request: ${told}.`] });
    };
    const input = { weights: weights.map((weight) => ({ ...weight })) };
    return this.#run(
      caller,
      { ...options, input },
      { mutation: 'setTraffic', action: 'SET_TRAFFIC', kind: 'set_traffic', decide },
    );
  }

  /** Rolls out an earlier revision again: the given one, else the one before. */
  rollback(caller: Caller, options: ChangeOptions, revision: number | null): Promise<Result<ChangeOutcome, Failure>> {
    const decide: Verb['decide'] = (current, now) => {
      const to = revision === null ? previousRevision(current) : current.revisions.find(({ number }) => number === revision);
      if (!to) return err(failure('INVALID_INPUT', 'There is no such revision to go back to.', { path: ['input', 'revision'] }));
      const { spec } = current.deployment;
      if (spec.traffic.length === 1 && spec.traffic[0]?.revision === to.number) {
        return err(failure('PRECONDITION_FAILED', `All traffic is wished to go to revision ${to.number} already.`));
      }
      const next = wished(current, { ...spec, traffic: [{ revision: to.number, weight: 100 }] }, now);
      const message = `Shift the traffic of ${path(current)} back to revision ${to.number} in steps once it is ready.`;
      const action: PlanAction = { kind: 'START_ROLLOUT', message };
      return ok({ next, rolloutTo: to, action, reasons: [`Back to revision ${to.number} by request.`] });
    };
    return this.#run(
      caller,
      { ...options, input: { revision } },
      { mutation: 'rollback', action: 'ROLLBACK', kind: 'rollback', decide },
    );
  }

  /** Takes it out of the route table, drains it and gives everything up; its history, costs and events stay. */
  delete(caller: Caller, options: ChangeOptions): Promise<Result<ChangeOutcome, Failure>> {
    const decide: Verb['decide'] = (current, now) => {
      const next: Deployment = { ...wished(current, current.deployment.spec, now), deletedAt: now, phase: 'DELETING' };
      const message = `Drain ${path(current)} and give everything up; its history and costs stay.`;
      const action: PlanAction = { kind: 'DELETE_DEPLOYMENT', message };
      return ok({
        next,
        rolloutTo: null,
        action,
        risks: ['Requests to it are refused from then on.'],
        reasons: ['Deleted by request.'],
      });
    };
    return this.#run(
      caller,
      { ...options, input: {} },
      { mutation: 'deleteDeployment', action: 'DELETE', kind: 'delete', decide },
    );
  }

  async #run(
    caller: Caller,
    options: ChangeOptions & { readonly input: Json },
    verb: Verb,
  ): Promise<Result<ChangeOutcome, Failure>> {
    const { deployment: ref, expectedVersion, input, dryRun = false, planHash = null } = options;
    const body = { deployment: { ...ref }, expectedVersion, input, ...(planHash === null ? {} : { planHash }) };
    const idempotencyKey = dryRun ? null : caller.idempotencyKey;
    return this.#deps.commands.run({ ...caller, idempotencyKey, mutation: verb.mutation, body }, (tx) =>
      this.#change(tx, caller, options, verb),
    );
  }

  async #change(tx: Transaction, caller: Caller, options: ChangeOptions, verb: Verb): Promise<Result<ChangeOutcome, Failure>> {
    const current = await this.#locked(tx, caller, options.deployment);
    if (!current) return err(notFound('deployment', ['input', 'deployment']));
    const refused =
      refuseStale(current, options.expectedVersion) ??
      refuseAction(verb.action, { ...current, manager: options.manager ?? null, revisions: current.revisions.length });
    if (refused) return err(refused);
    const decided = verb.decide(current, this.#deps.clock.now());
    if (!decided.ok) return decided;
    const pools = await this.#deps.writer.pools(tx, decided.value.next);
    if (pools.length === 0) return err(failure('NO_CAPACITY', 'The deployment has no pool any more.'));
    const change = { current, ...decided.value, pools, verb, principal: caller.principal };
    const input = await this.#input(tx, change);
    const plan = planChange(input);
    const beyond = await this.#beyond(tx, input, { principal: caller.principal.id, dryRun: options.dryRun === true });
    if (beyond) return err({ ...beyond, details: { plan: planToJson(plan) } });
    return this.#showOrRun(tx, change, plan, options);
  }

  async #showOrRun(
    tx: Transaction,
    change: Change,
    plan: Plan,
    { dryRun = false, planHash: hash = null }: ChangeOptions,
  ): Promise<Result<ChangeOutcome, Failure>> {
    const { current, next, rolloutTo, reasons, pools, verb, principal } = change;
    const owner = { principal, mutation: verb.mutation, teamId: next.teamId, projectId: next.projectId };
    const shown = { deploymentId: next.id, decisionId: null, plan: planToJson(plan), expiresAt: null };
    if (dryRun) return ok({ ...shown, expiresAt: await this.#shown.keep(tx, owner, plan) });
    const changed = hash === null ? null : await this.#shown.refuseChanged(tx, owner, { hash, now: plan });
    if (changed) return err(changed);
    const revisions = next.deletedAt === null ? revisionsWith(current, next.spec.traffic) : [];
    const wish = { current, next, revisions, newRevision: null, rolloutTo, pools };
    const saved = await this.#deps.writer.save(tx, { ...wish, principal: principal.id });
    return ok({ ...shown, decisionId: await this.#record(tx, saved, { kind: verb.kind, principal: principal.id, reasons }) });
  }

  async #locked(tx: Transaction, { principal }: Caller, ref: DeploymentRef): Promise<CurrentDeployment | null> {
    const { store, writer } = this.#deps;
    const found = await store.deployment(tx, ref);
    if (!found || !mayDo(principal, 'deployment.write', found)) return null;
    await store.lockTeam(tx, found.teamId);
    const locked = await store.lockDeployment(tx, found.id);
    return locked && writer.load(tx, locked);
  }

  async #input(tx: Transaction, { current, next, rolloutTo, action, risks = [], pools, verb }: Change): Promise<ChangeInput> {
    const offerings = pools.slice(0, 1).map(({ offeringId }) => offeringId);
    const [priced = null] = await this.#deps.prices.priced(tx, offerings, this.#deps.clock.now());
    const weights = rolloutTo ? effectiveWeights(current.deployment.spec.traffic, current.rollout) : [];
    return {
      ...{ mutation: verb.mutation, current, next, actions: [action], risks, priced, pools },
      revisions: next.deletedAt === null ? revisionsWith(current, next.spec.traffic) : [],
      kept: revisionsWith(current, weights),
    };
  }

  /** The first guard or quota that the change would break while both sides of it run; when it is carried out, others give way first. */
  async #beyond(
    tx: Transaction,
    change: ChangeInput,
    { principal, dryRun }: { readonly principal: string; readonly dryRun: boolean },
  ): Promise<Failure | null> {
    const { next } = change;
    if (!growsIn(change)) return null;
    const wanted = peakOf(change);
    const owner = { teamId: next.teamId, projectId: next.projectId, deploymentId: next.id };
    const broken = brokenGuard(next.spec, wanted);
    if (broken) return failure('LIMIT_EXCEEDED', broken.message, { hint: `Raise ${broken.guard} by deploy.` });
    const machines = { before: change.current.workloads, after: placedAt(change) };
    if (dryRun) return (await this.#deps.writer.checkQuotas(tx, owner, wanted)) ?? this.#deps.writer.claim(tx, machines, null);
    const claimant = { name: next.name, priority: priorityOf(next.spec), principal };
    const cause = { at: next.updatedAt, principal };
    const refused = await this.#deps.writer.makeRoom(tx, { ...owner, ...claimant }, wanted);
    return refused ?? this.#deps.writer.claim(tx, machines, cause);
  }

  #record(
    tx: Transaction,
    deployment: Deployment,
    why: { kind: DecisionKind; principal: string; reasons: readonly string[] },
  ): Promise<Id> {
    const { id, teamId, projectId, updatedAt: at, generation, spec } = deployment;
    return this.#deps.decisions.record(tx, {
      ...why,
      ...{ teamId, projectId, deploymentId: id, subjectKind: 'Deployment', subjectId: id, at },
      ...{ inputs: { generation, replicas: spec.replicas, traffic: spec.traffic.map((weight) => ({ ...weight })) } },
      ...{ candidates: [], rejected: {}, chosen: null, expectedHourly: null },
    });
  }
}

const path = ({ deployment }: CurrentDeployment): string => deploymentPath(deployment);

const wished = ({ deployment }: CurrentDeployment, spec: Deployment['spec'], now: number): Deployment => ({
  ...deployment,
  spec,
  generation: deployment.generation + 1,
  updatedAt: now,
});

const revisionsWith = ({ revisions }: CurrentDeployment, weights: readonly TrafficWeight[]): Revision[] =>
  revisions.filter(({ number }) => weights.some(({ revision, weight }) => revision === number && weight > 0));

/** What served before: where the last rollout came from, else the highest number below the present one. */
function previousRevision({ revisions, rollout, deployment }: CurrentDeployment): Revision | undefined {
  const present = Math.max(...deployment.spec.traffic.map(({ revision }) => revision));
  const from = revisions.find(({ id }) => id === rollout?.fromRevisionId);
  if (from && from.number !== present) return from;
  return revisions.filter(({ number }) => number < present).at(-1);
}
