import { Args, Ctx, Extensions, Mutation, Resolver } from 'type-graphql';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import { toDecisionType, type DecisionType } from '../decisions/decision.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { priced } from '../graphql/cost.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { toUserErrors } from '../graphql/payload.type.ts';
import { callerOf, projectRef } from '../identity/identity.resolver.ts';
import type { Caller } from '../identity/identity.service.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import { parseUsd } from '../kernel/money.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import { toMilliRate, toResources } from '../registry/resources.type.ts';
import { planOf, type DeployInput as Wish, type DeployOutcome, type DeployService } from './deploy.service.ts';
import {
  DeleteDeploymentArgs,
  DeployArgs,
  RollbackArgs,
  ScaleDeploymentArgs,
  SetTrafficArgs,
  type ChangeArguments,
  type DeployInput,
  type PlacementPolicyInput,
  type DeploymentBy,
} from './deployment.input.ts';
import type { PlacementWishes } from './deployment.ts';
import { deploymentLoader } from './deployment.loader.ts';
import { deploymentRef } from './deployment.resolver.ts';
import {
  DeleteDeploymentPayload,
  DeployPayload,
  RollbackPayload,
  ScaleDeploymentPayload,
  SetTrafficPayload,
  toDeploymentType,
  type DeploymentPayload,
  type DeploymentType,
} from './deployment.type.ts';
import { toPlanType } from './plan.type.ts';
import type { ChangeOptions, DeploymentsService } from './deployments.service.ts';

export interface DeploymentWrites {
  readonly deploy: DeployService;
  readonly deployments: DeploymentsService;
  readonly decisions: DecisionsService;
}

@Resolver()
export class DeploymentMutationsResolver {
  readonly #writes: DeploymentWrites;

  constructor(writes: DeploymentWrites) {
    this.#writes = writes;
  }

  @Mutation(() => DeployPayload, {
    description: 'Plans a wish with its price and carries it out: creates the deployment or rolls a new revision out.',
  })
  @Extensions(priced({ points: 15, when: { argument: 'dryRun', points: 90 } }))
  async deploy(
    @Ctx() context: ApiContext,
    @Args(() => DeployArgs) { input, dryRun, planHash, idempotencyKey, expectedVersion, placeAnew }: DeployArgs,
  ): Promise<DeployPayload> {
    const wish = wishOf(input);
    if (!wish.ok) return refused(wish.error);
    const how = { dryRun, planHash: planHash ?? null, expectedVersion: expectedVersion ?? null };
    const options = placeAnew ? { ...how, placeAnew } : how;
    const outcome = await this.#writes.deploy.deploy(callerOf(context, idempotencyKey), wish.value, options);
    return this.#payload(context, outcome);
  }

  @Mutation(() => SetTrafficPayload, { description: 'Shares traffic among revisions at once, without a rollout.' })
  async setTraffic(
    @Ctx() context: ApiContext,
    @Args(() => SetTrafficArgs) { input, ...how }: SetTrafficArgs,
  ): Promise<SetTrafficPayload> {
    const weights = input.weights.map(({ revision, weight }) => ({ revision, weight }));
    const { caller, options } = askedOf(context, input.deployment, how);
    return this.#payload(context, await this.#writes.deployments.setTraffic(caller, options, weights));
  }

  @Mutation(() => RollbackPayload, { description: 'Rolls an earlier revision out again.' })
  async rollback(
    @Ctx() context: ApiContext,
    @Args(() => RollbackArgs) { input, ...how }: RollbackArgs,
  ): Promise<RollbackPayload> {
    const { caller, options } = askedOf(context, input.deployment, how);
    return this.#payload(context, await this.#writes.deployments.rollback(caller, options, input.revision ?? null));
  }

  @Mutation(() => ScaleDeploymentPayload, { description: 'Changes the number of replicas.' })
  async scaleDeployment(
    @Ctx() context: ApiContext,
    @Args(() => ScaleDeploymentArgs) { input, ...how }: ScaleDeploymentArgs,
  ): Promise<ScaleDeploymentPayload> {
    const { caller, options } = askedOf(context, input.deployment, how);
    return this.#payload(context, await this.#writes.deployments.scale(caller, options, input.replicas));
  }

  @Mutation(() => DeleteDeploymentPayload, { description: 'Drains it and gives everything up; its history and costs stay.' })
  async deleteDeployment(
    @Ctx() context: ApiContext,
    @Args(() => DeleteDeploymentArgs) { input, ...how }: DeleteDeploymentArgs,
  ): Promise<DeleteDeploymentPayload> {
    const { caller, options } = askedOf(context, input.deployment, how);
    const outcome = await this.#writes.deployments.delete(caller, { ...options, manager: input.manager ?? null });
    const deletedId = outcome.ok && !how.dryRun ? toGlobalId('Deployment', outcome.value.deploymentId) : null;
    const { deployment, plan, shownPlan, decision, userErrors } = await this.#payload(context, outcome);
    return { deployment, plan, shownPlan, decision, userErrors, deletedId };
  }

  async #payload(context: ApiContext, outcome: Result<DeployOutcome, Failure>): Promise<DeploymentPayload> {
    await context.changed();
    if (!outcome.ok) return refused(outcome.error);
    const { deploymentId, decisionId, plan, expiresAt } = outcome.value;
    const planned = planOf(plan);
    return {
      deployment: await this.#deployment(context, deploymentId),
      plan: planned && toPlanType(planned, expiresAt),
      shownPlan: null,
      decision: await this.#decision(context, decisionId),
      userErrors: [],
    };
  }

  async #deployment(context: ApiContext, id: Id | null): Promise<DeploymentType | null> {
    const row = id === null ? null : await deploymentLoader(context, this.#writes.deployments).load(id);
    return row && toDeploymentType(row);
  }

  async #decision(context: ApiContext, id: Id | null): Promise<DecisionType | null> {
    const decision = id === null ? null : await this.#writes.decisions.byId(await context.read(), context.principal, id);
    return decision && toDecisionType(decision);
  }
}

const askedOf = (
  context: ApiContext,
  by: DeploymentBy,
  { dryRun, planHash, idempotencyKey, expectedVersion }: ChangeArguments,
): { readonly caller: Caller; readonly options: ChangeOptions } => ({
  caller: callerOf(context, idempotencyKey),
  options: { deployment: deploymentRef(by), expectedVersion: expectedVersion ?? null, dryRun, planHash: planHash ?? null },
});

const invalid = (field: string, message: string): Failure => failure('INVALID_INPUT', message, { path: ['input', field] });

/** What an input says in two ways, or not as an amount. */
function wrongIn({ modelVersion, alias, maxSpendPerHour, replicas, requestsPerSecond }: DeployInput): Failure | null {
  if (typeof modelVersion === 'number' && typeof alias === 'string')
    return invalid('alias', 'Give modelVersion or alias, not both.');
  if (typeof replicas === 'number' && typeof requestsPerSecond === 'number')
    return invalid('requestsPerSecond', 'Give replicas or requestsPerSecond, not both.');
  return typeof maxSpendPerHour === 'string' && parseUsd(maxSpendPerHour) === null
    ? invalid('maxSpendPerHour', 'maxSpendPerHour is an amount of USD.')
    : null;
}

/** The input as a wish. */
function wishOf(input: DeployInput): Result<Wish, Failure> {
  const { modelVersion, alias, maxSpendPerHour, resources, project, requestsPerSecond } = input;
  const wrong = wrongIn(input);
  if (wrong) return err(wrong);
  const numbered = typeof modelVersion === 'number' ? { number: modelVersion } : ({ latest: true } as const);
  return ok({
    ...plainOf(input),
    project: projectRef(project),
    version: typeof alias === 'string' ? { alias } : numbered,
    maxSpendPerHour: typeof maxSpendPerHour === 'string' ? parseUsd(maxSpendPerHour) : null,
    resources: resources ? toResources(resources) : null,
    ...(typeof requestsPerSecond === 'number' ? { milliRequestsPerSecond: toMilliRate(requestsPerSecond) } : {}),
  });
}

/** The fields that are taken as they are; those that others stand for are named here. */
function plainOf({
  project: _p,
  modelVersion: _v,
  alias: _a,
  maxSpendPerHour: _m,
  resources: _r,
  requestsPerSecond: _t,
  ...input
}: DeployInput) {
  const clusters = input.clusters?.map(({ cluster, pool, weight, order }) => ({
    ...{ cluster, weight, order },
    ...(typeof pool === 'string' ? { pool } : {}),
  }));
  const adopt = input.adopt ? { namespace: input.adopt.namespace, name: input.adopt.name } : null;
  const policy = input.policy ? toPolicy(input.policy) : null;
  return { ...input, clusters: clusters ?? null, adopt, policy };
}

/** What is left out has no key. */
const toPolicy = ({ callers, ...policy }: PlacementPolicyInput): PlacementWishes => ({
  ...Object.fromEntries(Object.entries(policy).filter(([, value]) => (value ?? null) !== null)),
  ...(callers ? { callers: callers.map(({ region, mibPerHour }) => ({ region, mibPerHour })) } : {}),
});

/** A refusal shows the plan that it is about, where there is one. */
function refused(error: Failure): DeploymentPayload {
  const plan = planOf(error.details?.plan);
  const shown = planOf(error.details?.shown);
  return {
    deployment: null,
    plan: plan && toPlanType(plan, null),
    shownPlan: shown && toPlanType(shown, null),
    decision: null,
    userErrors: toUserErrors([error]),
  };
}
