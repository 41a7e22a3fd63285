import { Arg, Args, Ctx, Int, Mutation, Resolver } from 'type-graphql';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import { toDecisionType, type DecisionType } from '../decisions/decision.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { toUserErrors } from '../graphql/payload.type.ts';
import { callerOf, projectRef } from '../identity/identity.resolver.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import { parseUsd } from '../kernel/money.ts';
import type { Result } from '../kernel/result.ts';
import { toResources } from '../registry/resources.type.ts';
import { planOf, type DeployInput as Wish, type DeployService } from './deploy.service.ts';
import {
  DeleteDeploymentInput,
  DeployArgs,
  RollbackInput,
  ScaleDeploymentInput,
  SetTrafficInput,
  type DeployInput,
  type DeploymentBy,
} from './deployment.input.ts';
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
import type { ChangeOutcome, DeploymentsService } from './deployments.service.ts';

const KEY = { nullable: true, description: 'Makes a repeat safe: the same key and input is done once.' };
const EXPECTED = { nullable: true, description: 'Refuse if its `version` is another now.' };

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
  async deploy(
    @Ctx() context: ApiContext,
    @Args(() => DeployArgs) { input, dryRun, planHash, idempotencyKey, expectedVersion }: DeployArgs,
  ): Promise<DeployPayload> {
    const wish = wishOf(input);
    if (!wish.ok)
      return { deployment: null, plan: null, shownPlan: null, decision: null, userErrors: toUserErrors([wish.error]) };
    const options = { dryRun, planHash: planHash ?? null, expectedVersion: expectedVersion ?? null };
    const outcome = await this.#writes.deploy.deploy(callerOf(context, idempotencyKey), wish.value, options);
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

  @Mutation(() => SetTrafficPayload, { description: 'Shares traffic among revisions at once, without a rollout.' })
  async setTraffic(
    @Ctx() context: ApiContext,
    @Arg('input', () => SetTrafficInput, { description: 'How.' }) input: SetTrafficInput,
    @Arg('expectedVersion', () => Int, EXPECTED) expectedVersion?: number | null,
    @Arg('idempotencyKey', () => String, KEY) idempotencyKey?: string | null,
  ): Promise<SetTrafficPayload> {
    const weights = input.weights.map(({ revision, weight }) => ({ revision, weight }));
    const options = optionsOf(input.deployment, expectedVersion);
    return this.#payload(context, await this.#writes.deployments.setTraffic(callerOf(context, idempotencyKey), options, weights));
  }

  @Mutation(() => RollbackPayload, { description: 'Rolls an earlier revision out again.' })
  async rollback(
    @Ctx() context: ApiContext,
    @Arg('input', () => RollbackInput, { description: 'Where to.' }) input: RollbackInput,
    @Arg('expectedVersion', () => Int, EXPECTED) expectedVersion?: number | null,
    @Arg('idempotencyKey', () => String, KEY) idempotencyKey?: string | null,
  ): Promise<RollbackPayload> {
    const options = optionsOf(input.deployment, expectedVersion);
    return this.#payload(
      context,
      await this.#writes.deployments.rollback(callerOf(context, idempotencyKey), options, input.revision ?? null),
    );
  }

  @Mutation(() => ScaleDeploymentPayload, { description: 'Changes the number of replicas.' })
  async scaleDeployment(
    @Ctx() context: ApiContext,
    @Arg('input', () => ScaleDeploymentInput, { description: 'How many.' }) input: ScaleDeploymentInput,
    @Arg('expectedVersion', () => Int, EXPECTED) expectedVersion?: number | null,
    @Arg('idempotencyKey', () => String, KEY) idempotencyKey?: string | null,
  ): Promise<ScaleDeploymentPayload> {
    const options = optionsOf(input.deployment, expectedVersion);
    return this.#payload(
      context,
      await this.#writes.deployments.scale(callerOf(context, idempotencyKey), options, input.replicas),
    );
  }

  @Mutation(() => DeleteDeploymentPayload, { description: 'Drains it and gives everything up; its history and costs stay.' })
  async deleteDeployment(
    @Ctx() context: ApiContext,
    @Arg('input', () => DeleteDeploymentInput, { description: 'Which.' }) input: DeleteDeploymentInput,
    @Arg('expectedVersion', () => Int, EXPECTED) expectedVersion?: number | null,
    @Arg('idempotencyKey', () => String, KEY) idempotencyKey?: string | null,
  ): Promise<DeleteDeploymentPayload> {
    const outcome = await this.#writes.deployments.delete(
      callerOf(context, idempotencyKey),
      optionsOf(input.deployment, expectedVersion),
    );
    const { deployment, decision, userErrors } = await this.#payload(context, outcome);
    return {
      deployment,
      decision,
      userErrors,
      deletedId: outcome.ok ? toGlobalId('Deployment', outcome.value.deploymentId) : null,
    };
  }

  async #payload(context: ApiContext, outcome: Result<ChangeOutcome, Failure>): Promise<DeploymentPayload> {
    await context.changed();
    if (!outcome.ok) return { deployment: null, decision: null, userErrors: toUserErrors([outcome.error]) };
    const { deploymentId, decisionId } = outcome.value;
    return {
      deployment: await this.#deployment(context, deploymentId),
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

const optionsOf = (by: DeploymentBy, expectedVersion: number | null | undefined) => ({
  deployment: deploymentRef(by),
  expectedVersion: expectedVersion ?? null,
});

/** The input as a wish; refused when it names a version in two ways or an amount that is none. */
function wishOf(input: DeployInput): Result<Wish, Failure> {
  const { modelVersion, alias, maxSpendPerHour, resources, project } = input;
  const invalid = (field: string, message: string) => ({
    ok: false as const,
    error: failure('INVALID_INPUT', message, { path: ['input', field] }),
  });
  if (typeof modelVersion === 'number' && typeof alias === 'string')
    return invalid('alias', 'Give modelVersion or alias, not both.');
  const amount = typeof maxSpendPerHour === 'string' ? parseUsd(maxSpendPerHour) : null;
  if (typeof maxSpendPerHour === 'string' && amount === null)
    return invalid('maxSpendPerHour', 'maxSpendPerHour is an amount of USD.');
  const numbered = typeof modelVersion === 'number' ? { number: modelVersion } : ({ latest: true } as const);
  const version = typeof alias === 'string' ? { alias } : numbered;
  return {
    ok: true,
    value: {
      ...plainOf(input),
      project: projectRef(project),
      version,
      maxSpendPerHour: amount,
      resources: resources ? toResources(resources) : null,
    },
  };
}

/** The fields that are taken as they are. */
const plainOf = ({
  name,
  model,
  replicas,
  concurrency,
  deadlineMs,
  queueLimit,
  retryable,
  hosts,
  maxReplicas,
  regions,
  capacityTypes,
}: DeployInput) => ({
  ...{ name, model, replicas, concurrency, deadlineMs, queueLimit, retryable, hosts, maxReplicas, regions, capacityTypes },
});

/** A refusal shows the plan that it is about, where there is one. */
function refused(error: Failure): DeployPayload {
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
