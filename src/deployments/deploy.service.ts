import type { DecisionsService } from '../decisions/decisions.service.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import { mayDo } from '../identity/authorize.ts';
import type { Caller, ProjectRef } from '../identity/identity.service.ts';
import type { IdentityStore } from '../identity/identity-store.port.ts';
import type { Project } from '../identity/team.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Json } from '../kernel/event.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Commands } from '../persistence/commands.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { ModelVersion, VersionTarget } from '../registry/model-version.ts';
import type { ModelsService } from '../registry/models.service.ts';
import { refuseAction } from './allowed-actions.ts';
import type { AdoptedObject } from './cluster.port.ts';
import { checkSpec, deploymentPath, priorityOf, type Deployment, type DeploymentSpec } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import type { Plan } from './plan.ts';
import { hourlyOf } from './placement.ts';
import { PlaceChooser, withPlaces, type PlaceChooserDeps } from './place-chooser.service.ts';
import { planDeployment, type CurrentDeployment, type PlanInput, type PlannedDeployment } from './plan-deployment.ts';
import { planFromJson, planToJson } from './plan-json.ts';
import { refuseAdoption } from './refuse-adoption.ts';
import type { RentedPlaces } from './rented-places.service.ts';
import { ReplicaChooser, type ChosenReplicas } from './replica-chooser.service.ts';
import type { Revision } from './revision.ts';
import { ShownPlans } from './shown-plans.service.ts';
import { wishOf, type WishInput } from './wish.ts';
import type { WishWriter } from './wish-writer.service.ts';

export interface DeployInput extends WishInput {
  readonly project: ProjectRef;
  readonly name: string;
  /** A KubernetesDeployment that runs already and is taken over without a restart. */
  readonly adopt?: AdoptedObject | null;
}

export interface DeployOptions {
  readonly dryRun: boolean;
  readonly planHash: string | null;
  /** The generation that the caller has seen. */
  readonly expectedVersion: number | null;
  /** This version runs, whatever the alias that the wish names points to by now; absent = the one that it points to. */
  readonly pinnedVersion?: number;
  /** As if something else were asked for: it goes where it is cheapest now, what the move costs counted. */
  readonly placeAnew?: boolean;
  /** What the decision says besides. */
  readonly because?: readonly string[];
}

/** Ids and the plan, as JSON, so that a repeat under the same key is answered alike. */
export type DeployOutcome = {
  readonly deploymentId: Id | null;
  readonly decisionId: Id | null;
  readonly plan: Json;
  /** When the shown plan expires; null when it was run. */
  readonly expiresAt: number | null;
};

export interface DeployDeps extends PlaceChooserDeps {
  readonly rented: RentedPlaces;
  readonly commands: Commands;
  readonly store: DeploymentStore;
  readonly writer: WishWriter;
  readonly identity: Pick<IdentityStore, 'findProject'>;
  readonly models: Pick<ModelsService, 'resolveVersion'>;
  readonly prices: Pick<PricesService, 'believedAt' | 'priced'>;
  readonly clusters: ClusterStore;
  readonly decisions: Pick<DecisionsService, 'record' | 'keepPlan' | 'shownPlan'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: DeploySettings;
}

export interface DeploySettings {
  /** `provider/region` that prices are taken from unless the wish says otherwise. */
  readonly regions: readonly string[];
  readonly allowProcess: boolean;
  /** `provider/region` that artifacts are fetched from; null = nowhere that charges for it. */
  readonly artifactRegion?: string | null;
  /** The name by which all teams call the router: no deployment may have it for itself. */
  readonly routerHost: string;
}

const MUTATION = 'deploy';

/** From a wish to a priced plan, and from the plan to a deployment. */
export class DeployService {
  readonly #deps: DeployDeps;
  readonly #shown: ShownPlans;
  readonly #places: ReplicaChooser;

  constructor(deps: DeployDeps) {
    this.#deps = deps;
    this.#shown = new ShownPlans(deps.decisions);
    this.#places = new ReplicaChooser(new PlaceChooser(deps));
  }

  /**
   * Plans, and unless `dryRun` carries out. Failures: NOT_FOUND, INVALID_INPUT, NO_CAPACITY, LIMIT_EXCEEDED, QUOTA_EXCEEDED, UNSUPPORTED,
   * PRECONDITION_FAILED, CONFLICT (stale `expectedVersion`; or the plan is no longer what was shown: `details` has `shown` and `plan`).
   */
  async deploy(caller: Caller, input: DeployInput, options: DeployOptions): Promise<Result<DeployOutcome, Failure>> {
    const body = JSON.parse(
      JSON.stringify({ ...input, maxSpendPerHour: input.maxSpendPerHour?.toString() ?? null, ...options }),
    ) as Json;
    const idempotencyKey = options.dryRun ? null : caller.idempotencyKey;
    return this.#deps.commands.run({ principal: caller.principal, idempotencyKey, mutation: MUTATION, body }, (tx) =>
      this.deployWithin(tx, caller, input, options),
    );
  }

  /** The same in a transaction of the caller's own, who undoes it if it fails. */
  async deployWithin(
    tx: Transaction,
    caller: Caller,
    input: DeployInput,
    options: DeployOptions,
  ): Promise<Result<DeployOutcome, Failure>> {
    const work = await this.#work(tx, caller, input, options);
    return work.ok ? this.#showOrRun(tx, work.value, options) : work;
  }

  /** What the wish would lead to; nothing is kept or locked. Failures as those of `deploy`. */
  async weigh(
    tx: Transaction,
    caller: Caller,
    input: DeployInput,
    options: DeployOptions,
  ): Promise<Result<PlannedDeployment, Failure>> {
    const work = await this.#work(tx, caller, input, { ...options, dryRun: true });
    return work.ok ? ok(work.value.planned) : work;
  }

  async #work(tx: Transaction, caller: Caller, input: DeployInput, options: DeployOptions): Promise<Result<Work, Failure>> {
    const project = await this.#deps.identity.findProject(tx, input.project);
    if (!project || !mayDo(caller.principal, 'deployment.write', { teamId: project.teamId, projectId: project.id })) {
      return err(notFound('project', ['input', 'project']));
    }
    const current = await this.#current(tx, project, { name: input.name, isShown: options.dryRun });
    const stale = refuseNow(current, options.expectedVersion, input);
    if (stale) return err(stale);
    const target = { projectId: project.id, model: input.model, version: versionOf(input, options) };
    const version = await this.#deps.models.resolveVersion(tx, caller.principal, target);
    if (!version) return err(notFound('model version', ['input', 'model']));
    const wish = wishOf(input, project, current, this.#deps.settings.regions);
    const wrong = this.#refuse(caller, input, { wish, version });
    if (wrong) return err(wrong);
    const path = `${project.teamName}/${project.name}/${input.name}`;
    const asked = {
      wish,
      version,
      current,
      path,
      adopt: input.adopt ?? null,
      isShown: options.dryRun,
      isAnew: options.placeAnew === true,
    };
    const placed = await this.#places.choose(tx, asked, project);
    if (!placed.ok) return placed;
    const chosen = placed.value.wish;
    const placedWish = { ...chosen, placement: withPlaces(chosen.placement, placed.value) };
    const planned = await this.#plan(tx, { ...asked, ...placed.value, wish: placedWish });
    if (!planned.ok) return planned;
    const { because } = options;
    return ok({ caller, project, wish: placedWish, current, version, planned: planned.value, name: input.name, because });
  }

  /** What is only shown locks nothing: nobody waits for it, and when it is run it is planned again. */
  async #current(
    tx: Transaction,
    project: Project,
    { name, isShown }: { readonly name: string; readonly isShown: boolean },
  ): Promise<CurrentDeployment | null> {
    const { store, writer } = this.#deps;
    if (!isShown) await store.lockTeam(tx, project.teamId);
    const found = await store.deployment(tx, { teamName: project.teamName, projectName: project.name, name });
    const row = found && !isShown ? await store.lockDeployment(tx, found.id) : found;
    return row && writer.load(tx, row);
  }

  /** The first thing that is wrong with a wish whatever the clusters have. */
  #refuse(
    { principal }: Caller,
    { name, adopt = null }: DeployInput,
    { wish, version }: Pick<PlanInput, 'wish' | 'version'>,
  ): Failure | null {
    return (
      this.#refuseVersion(principal, version) ??
      checkSpec(name, wish) ??
      this.#refuseHosts(wish.hosts) ??
      refuseAdoption(principal, adopt, { format: version.format, spec: wish })
    );
  }

  #refuseVersion(principal: Principal, version: ModelVersion): Failure | null {
    if (version.archivedAt !== null)
      return failure('PRECONDITION_FAILED', 'This version is archived.', { path: ['input', 'modelVersion'] });
    if (version.format !== 'process') return null;
    if (!principal.platformActions.includes('runtime.process')) {
      return failure('PRECONDITION_FAILED', 'Running a command of your own needs the platform action runtime.process.');
    }
    return this.#deps.settings.allowProcess
      ? null
      : failure('UNSUPPORTED', 'This installation runs no processes of callers (PURSER_ALLOW_PROCESS).');
  }

  #refuseHosts(hosts: readonly string[]): Failure | null {
    if (!hosts.includes(this.#deps.settings.routerHost)) return null;
    return failure('INVALID_INPUT', 'This is the host of the router itself, by which every deployment is called.', {
      path: ['input', 'hosts'],
    });
  }

  async #plan(
    tx: Transaction,
    { index, ...wanted }: Omit<PlanInput, 'prices'> & ChosenReplicas,
  ): Promise<Result<PlannedDeployment, Failure>> {
    const { prices: book, clock } = this.#deps;
    const own = await book.believedAt(
      tx,
      wanted.pools.flatMap(({ pool }) => pool.offeringId ?? []),
      clock.now(),
    );
    const prices = new Map([
      ...index.candidates.flatMap(({ offering, price }) => (price ? [[offering.id, price.effective] as const] : [])),
      ...[...own].map(([id, price]) => [id, price.effective] as const),
    ]);
    return planDeployment({ ...wanted, prices });
  }

  async #showOrRun(tx: Transaction, work: Work, options: DeployOptions): Promise<Result<DeployOutcome, Failure>> {
    const { plan } = work.planned;
    const { principal } = work.caller;
    const { teamId, id: projectId } = work.project;
    const deploymentId = work.current?.deployment.id ?? null;
    if (options.dryRun) {
      const expiresAt = await this.#shown.keep(tx, { principal, mutation: MUTATION, teamId, projectId }, plan);
      return ok({ deploymentId, decisionId: null, plan: planToJson(plan), expiresAt });
    }
    const { planHash: hash } = options;
    const changed = hash && (await this.#shown.refuseChanged(tx, { principal, mutation: MUTATION }, { hash, now: plan }));
    const wanted = { replicas: plan.peakReplicas, hourly: plan.peakHourly };
    // Nobody gives way to what only moves in order to pay less.
    const priority = options.placeAnew ? 'low' : priorityOf(work.wish);
    const claimant = { name: work.name, priority, principal: principal.id };
    const refused = changed || (await this.#deps.writer.makeRoom(tx, { teamId, projectId, deploymentId, ...claimant }, wanted));
    if (refused) return err(refused);
    const short = await this.#claim(tx, work);
    if (short) return err(short);
    if (plan.actions.every(({ kind }) => kind === 'NOTHING'))
      return ok({ deploymentId, decisionId: null, plan: planToJson(plan), expiresAt: null });
    return ok(await this.#run(tx, work));
  }

  /** Machines in pools that are there already, and that may be rented for others, too; those that are rented for it were looked for where they are left. */
  #claim(tx: Transaction, { planned: { pools }, current, caller }: Work): Promise<Failure | null> {
    const after = pools
      .filter(({ rented }) => !rented)
      .map(({ pool: { id: poolId, clusterId }, replicas, perMachine = 1 }) => ({ poolId, clusterId, replicas, perMachine }));
    const cause = { at: this.#deps.clock.now(), principal: caller.principal.id };
    return this.#deps.writer.claim(tx, { before: current?.workloads ?? [], after }, cause);
  }

  async #run(tx: Transaction, work: Work): Promise<DeployOutcome> {
    const { planned, current, caller } = work;
    const next = this.#next(work);
    await this.#deps.rented.make(tx, planned.pools, { at: next.updatedAt, principal: caller.principal.id });
    const made = this.#revision(work, next.id);
    const principal = caller.principal.id;
    const others = (current?.revisions ?? []).filter(({ number }) =>
      next.spec.traffic.some(({ revision, weight }) => revision === number && weight > 0),
    );
    const saved = await this.#deps.writer.save(tx, {
      current,
      next,
      revisions: planned.revision.existing ? others : [made],
      newRevision: planned.revision.existing ? null : made,
      rolloutTo: planned.revision.needsRollout ? made : null,
      pools: planned.pools,
      principal,
    });
    const decisionId = await this.#recordDecision(tx, work, saved);
    return { deploymentId: saved.id, decisionId, plan: planToJson(planned.plan), expiresAt: null };
  }

  #next({ project, wish, current, caller, planned, name }: Work): Deployment {
    const now = this.#deps.clock.now();
    const traffic = planned.revision.needsRollout ? [{ revision: planned.revision.number, weight: 100 }] : wish.traffic;
    const spec = { ...wish, traffic };
    if (current) return { ...current.deployment, spec, generation: current.deployment.generation + 1, updatedAt: now };
    const owner = { teamId: project.teamId, projectId: project.id, teamName: project.teamName, projectName: project.name };
    const times = { createdAt: now, createdBy: caller.principal.id, updatedAt: now, deletedAt: null, goneAt: null };
    return {
      id: newId(now, this.#deps.random),
      ...owner,
      name,
      spec,
      generation: 1,
      version: 1,
      observedGeneration: 0,
      phase: 'PENDING',
      conditions: [],
      ...times,
    };
  }

  #revision({ project, wish, version, planned, caller }: Work, deploymentId: Id): Revision {
    const now = this.#deps.clock.now();
    const { existing, number, spec } = planned.revision;
    if (existing) return existing;
    const owner = { teamId: project.teamId, projectId: project.id, deploymentId };
    const what = { number, modelId: version.modelId, modelVersionId: version.id, spec, concurrency: wish.concurrency };
    return { id: newId(now, this.#deps.random), ...owner, ...what, createdAt: now, createdBy: caller.principal.id };
  }

  #recordDecision(
    tx: Transaction,
    { planned: { plan, pools }, caller, version, because }: Work,
    deployment: Deployment,
  ): Promise<Id> {
    const stored = planToJson(plan) as { candidates: Json; places?: Json };
    return this.#deps.decisions.record(tx, {
      teamId: deployment.teamId,
      projectId: deployment.projectId,
      deploymentId: deployment.id,
      kind: 'deploy',
      subjectKind: 'Deployment',
      subjectId: deployment.id,
      at: deployment.updatedAt,
      principal: caller.principal.id,
      inputs: {
        path: deploymentPath(deployment),
        generation: deployment.generation,
        modelVersionId: version.id,
        replicas: deployment.spec.replicas,
        ...(deployment.spec.milliRequestsPerSecond === undefined
          ? {}
          : { milliRequestsPerSecond: deployment.spec.milliRequestsPerSecond }),
      },
      candidates: stored.candidates,
      rejected: { ...plan.rejectedCounts },
      chosen: { offeringId: plan.offeringId, hourlyPerReplica: plan.hourlyPerReplica.toString(), places: stored.places ?? [] },
      reasons: [...(because ?? []), ...plan.actions.map(({ message }) => message), plan.why, ...plan.wouldChange],
      expectedHourly: hourlyOf(pools),
    });
  }
}

interface Work {
  readonly caller: Caller;
  readonly project: Project;
  readonly name: string;
  readonly wish: DeploymentSpec;
  readonly current: CurrentDeployment | null;
  readonly version: ModelVersion;
  readonly planned: PlannedDeployment;
  readonly because: readonly string[] | undefined;
}

const versionOf = ({ version }: DeployInput, { pinnedVersion }: DeployOptions): VersionTarget =>
  pinnedVersion === undefined ? version : { number: pinnedVersion };

/** The refusal of an `expectedVersion` that is not the present generation; null if it is, or none was given. */
export const refuseStale = ({ deployment }: Pick<CurrentDeployment, 'deployment'>, expected: number | null): Failure | null =>
  expected === null || expected === deployment.generation
    ? null
    : failure('CONFLICT', `The deployment is at version ${deployment.generation} now: read it again.`, {
        path: ['expectedVersion'],
      });

/** What stands against a deploy before anything is looked up. */
const refuseNow = (current: CurrentDeployment | null, expected: number | null, { manager = null }: WishInput): Failure | null =>
  current
    ? (refuseStale(current, expected) ?? refuseAction('DEPLOY', { ...current, manager, revisions: current.revisions.length }))
    : refuseMissing(expected);

/** 0 means "it must not exist yet". */
const refuseMissing = (expected: number | null): Failure | null =>
  expected === null || expected === 0
    ? null
    : failure('CONFLICT', 'The deployment does not exist (version 0).', { path: ['expectedVersion'] });

/** The plan that an outcome or a conflict carries. */
export const planOf = (json: unknown): Plan | null => (json === null || json === undefined ? null : planFromJson(json as Json));
