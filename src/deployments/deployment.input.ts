import { ArgsType, Field, Float, ID, InputType, Int } from 'type-graphql';
import type { CapacityType } from '../clouds/offering.ts';
import { CapacityTypeName } from '../clouds/offering.type.ts';
import { IDEMPOTENCY_KEY } from '../graphql/idempotency-key.ts';
import { oneOf } from '../graphql/one-of.ts';
import { Decimal } from '../graphql/scalars.ts';
import { ProjectBy } from '../identity/identity.input.ts';
import { ResourcesInput } from '../registry/resources.type.ts';
import type { DeploymentPhase, DeploymentPriority } from './deployment.ts';
import { DeploymentPhaseName, DeploymentPriorityName } from './deployment.type.ts';

@InputType(oneOf('DeploymentBy'), { description: 'Names one deployment.' })
export class DeploymentBy {
  @Field(() => ID, { nullable: true, description: 'Global id.' })
  id?: string | null;

  @Field(() => String, { nullable: true, description: '`team/project/deployment`.' })
  path?: string | null;
}

@InputType('DeploymentFilter', { description: 'Which deployments; all that are given must hold.' })
export class DeploymentFilter {
  @Field(() => ProjectBy, { nullable: true, description: 'Of this project.' })
  project?: ProjectBy | null;

  @Field(() => [DeploymentPhaseName], { nullable: true, description: 'In one of these phases.' })
  phases?: DeploymentPhase[] | null;

  @Field(() => String, { nullable: true, description: 'Whose name contains this.' })
  nameContains?: string | null;
}

@InputType('DeployClusterInput', { description: 'A cluster that replicas are placed on.' })
export class DeployClusterInput {
  @Field(() => String, { description: 'Name of the cluster.' })
  cluster!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Name of the pool there; default: `pool` of the wish, else its default one.',
  })
  pool?: string | null;

  @Field(() => Int, {
    defaultValue: 100,
    description:
      'Share of the traffic among the clusters of its order, 0 to 1,000. Those of the lowest order share the replicas by it, each at least one; one of a later order holds that part of them that its weight is of the weights of the lowest order, at least one. 0 = no replicas.',
  })
  weight!: number;

  @Field(() => Int, {
    defaultValue: 0,
    description: 'The clusters of the lowest order that can take traffic take it all; those of later orders wait for that.',
  })
  order!: number;
}

@InputType('CallersInput', { description: 'Whence requests come.' })
export class CallersInput {
  @Field(() => String, { description: '`provider/region`.' })
  region!: string;

  @Field(() => Int, { defaultValue: 0, description: 'What goes back there, in MiB per hour: it is paid for.' })
  mibPerHour!: number;
}

@InputType('PlacementPolicyInput', {
  description:
    'Where and on what it may run, besides regions and capacity types. What cannot be had together is refused, by name.',
})
export class PlacementPolicyInput {
  @Field(() => [String], {
    nullable: true,
    description: 'Regions that law or contract allows, whatever `regions` says; `*` for any.',
  })
  residency?: string[] | null;

  @Field(() => Int, {
    nullable: true,
    description: 'At least so many percent of the replicas on capacity that is not taken away.',
  })
  minOnDemandPercent?: number | null;

  @Field(() => Int, { nullable: true, description: 'At least so many zones share the replicas.' })
  zones?: number | null;

  @Field(() => Decimal, {
    nullable: true,
    description:
      'What an hour without one of its replicas is worth, in USD; default 1. Interruptions that are to be expected count by it: the higher, the less spot; at 0 its price alone decides.',
  })
  outageCostPerHour?: string | null;

  @Field(() => Int, { nullable: true, description: 'No caller may be further away than this round trip, in ms.' })
  latencyMs?: number | null;

  @Field(() => [CallersInput], { nullable: true, description: 'Whence requests come.' })
  callers?: CallersInput[] | null;

  @Field(() => [String], { nullable: true, description: 'Deployments of the project: it goes to a region of one of them.' })
  near?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Deployments of the project: it goes to no region of any of them.' })
  apart?: string[] | null;

  @Field(() => Boolean, {
    nullable: true,
    description:
      'Moved to a cheaper place by itself when that is worth it (saving, cooldown, disruption budget); default: it is proposed.',
  })
  moves?: boolean | null;
}

@InputType('AdoptInput', { description: 'A KubernetesDeployment that somebody else made.' })
export class AdoptInput {
  @Field(() => String, { description: 'Its namespace.' })
  namespace!: string;

  @Field(() => String, { description: 'Its name.' })
  name!: string;
}

@InputType('DeployInput', { description: 'A wish. What is left out stays as it is; for a new deployment it takes its default.' })
export class DeployInput {
  @Field(() => ProjectBy, { description: 'The project.' })
  project!: ProjectBy;

  @Field(() => String, { description: 'A DNS label, unique in the project; also its model name in the inference protocols.' })
  name!: string;

  @Field(() => String, { description: 'Name of the model in the project.' })
  model!: string;

  @Field(() => Int, { nullable: true, description: 'Number of the version; without it and `alias` the newest.' })
  modelVersion?: number | null;

  @Field(() => String, { nullable: true, description: 'The version that this alias points at now.' })
  alias?: string | null;

  @Field(() => Int, { nullable: true, description: 'Replicas; 0 = hibernated; default 1.' })
  replicas?: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      'Instead of replicas: as many as carry so many requests per second, on the accelerator where that costs least in all. The version must say what one replica carries (`carries`).',
  })
  requestsPerSecond?: number | null;

  @Field(() => ResourcesInput, { nullable: true, description: 'What one replica needs; default: what the version says.' })
  resources?: ResourcesInput | null;

  @Field(() => Int, { nullable: true, description: 'Requests that one replica handles at a time; default 4.' })
  concurrency?: number | null;

  @Field(() => Int, { nullable: true, description: 'A request that is not answered within so many ms gets 504; default 30,000.' })
  deadlineMs?: number | null;

  @Field(() => Int, { nullable: true, description: 'Requests that may wait for a free replica, one more gets 429; default 100.' })
  queueLimit?: number | null;

  @Field(() => Boolean, { nullable: true, description: 'Any request may be sent twice; default false.' })
  retryable?: boolean | null;

  @Field(() => [String], { nullable: true, description: 'Host names that lead here, besides the path.' })
  hosts?: string[] | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Never more replicas, both sides of a rollout counted; default of the project.',
  })
  maxReplicas?: number | null;

  @Field(() => Decimal, {
    nullable: true,
    description: 'Never dearer, in USD per hour, both sides of a rollout counted; default of the project.',
  })
  maxSpendPerHour?: string | null;

  @Field(() => [String], {
    nullable: true,
    description: 'Allowed regions, `provider/region`, `*` for any (`aws/*`); default of the installation.',
  })
  regions?: string[] | null;

  @Field(() => [CapacityTypeName], { nullable: true, description: 'Allowed capacity types; default ON_DEMAND.' })
  capacityTypes?: CapacityType[] | null;

  @Field(() => [DeployClusterInput], {
    nullable: true,
    description:
      'Clusters that it spans. Empty or never given: where it is, else the first registered one that takes new replicas and can run it.',
  })
  clusters?: DeployClusterInput[] | null;

  @Field(() => PlacementPolicyInput, {
    nullable: true,
    description: 'What else is allowed, as a whole; an empty one takes it back.',
  })
  policy?: PlacementPolicyInput | null;

  @Field(() => String, {
    nullable: true,
    description: 'Pool on clusters that are named without one; default: their default one.',
  })
  pool?: string | null;

  @Field(() => Int, {
    nullable: true,
    description: 'A replica that is not ready within so many ms has failed; default 120,000.',
  })
  readinessTimeoutMs?: number | null;

  @Field(() => DeploymentPriorityName, {
    nullable: true,
    description: 'Where a quota is short, replicas of lower priority give way, down to one each; default NORMAL.',
  })
  priority?: DeploymentPriority | null;

  @Field(() => AdoptInput, {
    nullable: true,
    description: 'Take over what runs already, without a restart; needs the platform action `runtime.adopt`.',
  })
  adopt?: AdoptInput | null;

  @Field(() => String, {
    nullable: true,
    description: 'The one other system whose wish this is: from then on nobody changes it without naming it.',
  })
  manager?: string | null;
}

@InputType('RevisionWeightInput', { description: 'Share of traffic of one revision.' })
export class RevisionWeightInput {
  @Field(() => Int, { description: 'Number of the revision.' })
  revision!: number;

  @Field(() => Int, { description: 'Percent.' })
  weight!: number;
}

@InputType('SetTrafficInput', { description: 'How to share traffic.' })
export class SetTrafficInput {
  @Field(() => DeploymentBy, { description: 'Which deployment.' })
  deployment!: DeploymentBy;

  @Field(() => [RevisionWeightInput], { description: 'They sum to 100; revisions left out get nothing.' })
  weights!: RevisionWeightInput[];
}

@InputType('RollbackInput', { description: 'Where to go back to.' })
export class RollbackInput {
  @Field(() => DeploymentBy, { description: 'Which deployment.' })
  deployment!: DeploymentBy;

  @Field(() => Int, { nullable: true, description: 'Number of the revision; default: the one before.' })
  revision?: number | null;
}

@InputType('ScaleDeploymentInput', { description: 'How many replicas.' })
export class ScaleDeploymentInput {
  @Field(() => DeploymentBy, { description: 'Which deployment.' })
  deployment!: DeploymentBy;

  @Field(() => Int, { description: 'Replicas of each revision that gets traffic; 0 = hibernated.' })
  replicas!: number;
}

@InputType('DeleteDeploymentInput', { description: 'What to delete.' })
export class DeleteDeploymentInput {
  @Field(() => DeploymentBy, { description: 'Which deployment.' })
  deployment!: DeploymentBy;

  @Field(() => String, { nullable: true, description: 'Who manages it, if anybody does.' })
  manager?: string | null;
}

/** What every mutation takes that can cost money or move a replica. */
@ArgsType()
abstract class ChangeArgs {
  @Field(() => Boolean, { defaultValue: false, description: 'Only show the plan; it can be run by its hash for ten minutes.' })
  dryRun!: boolean;

  @Field(() => String, { nullable: true, description: 'Run exactly this plan and not dearer, or nothing.' })
  planHash?: string | null;

  @Field(() => String, IDEMPOTENCY_KEY)
  idempotencyKey?: string | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Refuse if its `version` is another now; for `deploy`, 0 = it must not exist yet.',
  })
  expectedVersion?: number | null;
}

@ArgsType()
export class DeployArgs extends ChangeArgs {
  @Field(() => Boolean, {
    defaultValue: false,
    description: 'It goes where it is cheapest now, the move counted, though nothing else is asked for.',
  })
  placeAnew!: boolean;

  @Field(() => DeployInput, { description: 'The wish.' })
  input!: DeployInput;
}

@ArgsType()
export class SetTrafficArgs extends ChangeArgs {
  @Field(() => SetTrafficInput, { description: 'How.' })
  input!: SetTrafficInput;
}

@ArgsType()
export class RollbackArgs extends ChangeArgs {
  @Field(() => RollbackInput, { description: 'Where to.' })
  input!: RollbackInput;
}

@ArgsType()
export class ScaleDeploymentArgs extends ChangeArgs {
  @Field(() => ScaleDeploymentInput, { description: 'How many.' })
  input!: ScaleDeploymentInput;
}

@ArgsType()
export class DeleteDeploymentArgs extends ChangeArgs {
  @Field(() => DeleteDeploymentInput, { description: 'Which.' })
  input!: DeleteDeploymentInput;
}

export type ChangeArguments = Pick<ChangeArgs, 'dryRun' | 'planHash' | 'idempotencyKey' | 'expectedVersion'>;
