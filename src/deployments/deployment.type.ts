import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { DecisionType } from '../decisions/decision.type.ts';
import { connectionOf } from '../graphql/connection.type.ts';
import { upperCaseNames } from '../graphql/enum-names.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { NodeType } from '../graphql/node.type.ts';
import { PayloadType } from '../graphql/payload.type.ts';
import { DateTime } from '../graphql/scalars.ts';
import type { Condition } from '../kernel/condition.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Protocol } from '../registry/model-version.ts';
import { ProtocolName } from '../registry/model.type.ts';
import { ResourcesType } from '../registry/resources.type.ts';
import { DEPLOYMENT_ACTIONS, type DeploymentAction } from './allowed-actions.ts';
import { REPLICA_STATES, type ReplicaState } from './cluster.port.ts';
import {
  DEPLOYMENT_PHASES,
  DEPLOYMENT_PRIORITIES,
  deploymentPath,
  priorityOf,
  type Deployment,
  type DeploymentPhase,
  type DeploymentPriority,
} from './deployment.ts';
import { PlanType } from './plan.type.ts';
import type { Replica } from './replica.ts';
import type { Revision } from './revision.ts';
import { ROLLOUT_STATES, type Rollout, type RolloutState } from './rollout.ts';

export const DeploymentPriorityName = upperCaseNames<DeploymentPriority>(DEPLOYMENT_PRIORITIES);
export const DeploymentPhaseName = upperCaseNames<DeploymentPhase>(DEPLOYMENT_PHASES);
registerEnumType(DeploymentPhaseName, {
  name: 'DeploymentPhase',
  description: 'Where a deployment stands, in one word; the conditions say why.',
  valuesConfig: {
    PENDING: { description: 'Nobody has looked at it yet.' },
    DEPLOYING: { description: 'On its way to what was wished.' },
    READY: { description: 'As wished.' },
    DEGRADED: { description: 'It serves, but not as wished.' },
    HIBERNATED: { description: 'Scaled to 0 replicas on purpose.' },
    FAILED: { description: 'It does not serve.' },
    DELETING: { description: 'Being drained and given up.' },
  },
});

export const DeploymentActionName = upperCaseNames<DeploymentAction>(DEPLOYMENT_ACTIONS);
registerEnumType(DeploymentPriorityName, {
  name: 'DeploymentPriority',
  description: 'Whose replicas give way where a quota is short.',
  valuesConfig: {
    HIGH: { description: 'Those of all others do first.' },
    NORMAL: { description: 'Before those of HIGH ones.' },
    LOW: { description: 'First; where nodes are short, too.' },
  },
});

registerEnumType(DeploymentActionName, {
  name: 'DeploymentAction',
  description: 'What can be done with a deployment.',
  valuesConfig: {
    DEPLOY: { description: '`deploy`.' },
    SET_TRAFFIC: { description: '`setTraffic`.' },
    ROLLBACK: { description: '`rollback`.' },
    SCALE: { description: '`scaleDeployment`.' },
    DELETE: { description: '`deleteDeployment`.' },
  },
});

export const ReplicaStateName = upperCaseNames<ReplicaState>(REPLICA_STATES);
registerEnumType(ReplicaStateName, {
  name: 'ReplicaState',
  description: 'What a replica does; every millisecond of its life is in exactly one state.',
  valuesConfig: {
    STARTING: { description: 'Before it was first ready.' },
    SERVING: { description: 'Ready for requests.' },
    UNREADY: { description: 'Crashed, or not answering.' },
    DRAINING: { description: 'Finishing what it has.' },
  },
});

export const RolloutStateName = upperCaseNames<RolloutState>(ROLLOUT_STATES);
registerEnumType(RolloutStateName, {
  name: 'RolloutState',
  description: 'How far a rollout is.',
  valuesConfig: {
    STARTING: { description: 'The new revision gets ready; traffic is as before.' },
    SHIFTING: { description: 'Traffic moves in steps.' },
    DRAINING: { description: 'All traffic has moved; the old revision finishes what it has.' },
    DONE: { description: 'Finished.' },
    ROLLING_BACK: { description: 'The new revision failed: traffic is as before, it finishes what it has.' },
    ROLLED_BACK: { description: 'Back where it was.' },
    FAILED: { description: 'The first revision failed; there is nothing to go back to.' },
    SUPERSEDED: { description: 'A newer wish took its place.' },
  },
});

@ObjectType('Condition', { description: 'One observed fact, in Kubernetes’ form.' })
export class ConditionType {
  @Field(() => String, { description: 'Ready, Progressing, Available or WithinBudget.' })
  type!: string;

  @Field(() => String, { description: 'True, False or Unknown.' })
  status!: string;

  @Field(() => String, { description: 'Machine-readable reason.' })
  reason!: string;

  @Field(() => String, { description: 'For people.' })
  message!: string;

  @Field(() => DateTime, { description: 'When the status last changed.' })
  lastTransitionTime!: Instant;
}

@ObjectType('DeploymentStatus', { description: 'How reality compares with the wish.' })
export class DeploymentStatusType {
  @Field(() => DeploymentPhaseName, { description: 'In one word.' })
  phase!: DeploymentPhase;

  @Field(() => [ConditionType], { description: 'Why.' })
  conditions!: readonly Condition[];

  @Field(() => Int, { description: 'The generation that this speaks of; lower than `generation` = not looked at yet.' })
  observedGeneration!: number;
}

@ObjectType('Endpoint', { description: 'Where requests go.' })
export class EndpointType {
  @Field(() => String, { description: 'Base URL at the router.' })
  url!: string;

  @Field(() => [ProtocolName], { description: 'What it speaks.' })
  protocols!: readonly Protocol[];
}

@ObjectType('RevisionWeight', { description: 'Share of traffic of one revision.' })
export class RevisionWeightType {
  @Field(() => Int, { description: 'Number of the revision.' })
  revision!: number;

  @Field(() => Int, { description: 'Percent.' })
  weight!: number;
}

@ObjectType('Traffic', { description: 'How requests are shared among revisions now.' })
export class TrafficType {
  @Field(() => [RevisionWeightType], { description: 'They sum to 100.' })
  weights!: readonly RevisionWeightType[];
}

@ObjectType('AllowedAction', { description: 'Whether something can be done now.' })
export class AllowedActionType {
  @Field(() => DeploymentActionName, { description: 'What.' })
  action!: DeploymentAction;

  @Field(() => Boolean, { description: 'Whether you may, now.' })
  allowed!: boolean;

  @Field(() => String, { nullable: true, description: 'Why not.' })
  reason!: string | null;
}

@ObjectType('Rollout', { description: 'The way from one revision to the next.' })
export class RolloutType {
  @Field(() => RolloutStateName, { description: 'How far it is.' })
  state!: RolloutState;

  @Field(() => Int, { description: 'Number of the revision that it goes to.' })
  toRevision!: number;

  @Field(() => String, { nullable: true, description: 'Why it went back.' })
  reason!: string | null;

  @Field(() => DateTime, { description: 'When it started.' })
  startedAt!: Instant;

  @Field(() => DateTime, { nullable: true, description: 'When it ended.' })
  endedAt!: Instant | null;
}

@ObjectType('Revision', { implements: NodeType, description: 'An immutable snapshot of what a deployment runs.' })
export class RevisionType extends NodeType {
  readonly row!: Revision;

  @Field(() => Int, { description: 'Dense per deployment, from 1.' })
  number!: number;

  @Field(() => Int, { description: 'Requests that one replica handles at a time.' })
  concurrency!: number;

  @Field(() => ResourcesType, { description: 'What one replica needs.' })
  resources!: ResourcesType;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: Instant;
}

@ObjectType('LogLine', { description: 'One line that a replica wrote.' })
export class LogLineType {
  @Field(() => DateTime, { description: 'When.' })
  at!: Instant;

  @Field(() => String, { description: 'stdout or stderr.' })
  stream!: string;

  @Field(() => String, { description: 'The line.' })
  text!: string;
}

@ObjectType('LogPage', { description: 'Lines of a replica, oldest first.' })
export class LogPageType {
  @Field(() => [LogLineType], { description: 'The lines.' })
  lines!: readonly LogLineType[];

  @Field(() => String, { description: 'Pass it back to go on behind the last line.' })
  cursor!: string;
}

@ObjectType('Replica', { implements: NodeType, description: 'One running instance of a revision.' })
export class ReplicaType extends NodeType {
  readonly row!: Replica;

  @Field(() => ReplicaStateName, { description: 'What it does.' })
  state!: ReplicaState;

  @Field(() => String, { nullable: true, description: '`host:port`, once it listens.' })
  address!: string | null;

  @Field(() => Int, { description: 'How often it was started again.' })
  restarts!: number;

  @Field(() => String, { description: 'Why it is in this state; empty when all is well.' })
  message!: string;

  @Field(() => DateTime, { description: 'Since when it costs.' })
  since!: Instant;
}

@ObjectType('Deployment', { implements: NodeType, description: 'A model served at an endpoint.' })
export class DeploymentType extends NodeType {
  readonly row!: Deployment;

  @Field(() => String, { description: '`team/project/deployment`.' })
  path!: string;

  @Field(() => String, { description: 'Also its model name in the inference protocols.' })
  name!: string;

  @Field(() => Int, { description: 'Rises with every change of the wish.' })
  generation!: number;

  @Field(() => Int, { description: 'The generation; pass it as `expectedVersion`.' })
  version!: number;

  @Field(() => Int, { description: 'Replicas wished for, of each revision that gets traffic; 0 = hibernated.' })
  wishedReplicas!: number;

  @Field(() => Float, {
    nullable: true,
    description: 'What they carry together, of which their number follows; null = the number itself is wished for.',
  })
  requestsPerSecond!: number | null;

  @Field(() => Int, { description: 'Never more replicas than this.' })
  maxReplicas!: number;

  @Field(() => MoneyType, { description: 'Never dearer per hour than this.' })
  maxSpendPerHour!: MoneyType;

  @Field(() => DeploymentPriorityName, { description: 'Where a quota is short, replicas of lower priority give way.' })
  priority!: DeploymentPriority;

  @Field(() => String, { nullable: true, description: 'The one other system that changes it; null = whoever may.' })
  manager!: string | null;

  @Field(() => DeploymentStatusType, { description: 'How reality compares with the wish.' })
  status!: DeploymentStatusType;

  @Field(() => DateTime, { description: 'When it was created.' })
  createdAt!: Instant;
}

export const DeploymentConnection = connectionOf('Deployment', () => DeploymentType);
export const RevisionConnection = connectionOf('Revision', () => RevisionType);

/** What every mutation of a deployment answers with. */
@ObjectType()
export abstract class DeploymentPayload extends PayloadType {
  @Field(() => DeploymentType, { nullable: true, description: 'The deployment; null for a dry run of a new one.' })
  deployment!: DeploymentType | null;

  @Field(() => PlanType, { nullable: true, description: 'The plan that was run, or is shown.' })
  plan!: PlanType | null;

  @Field(() => PlanType, { nullable: true, description: 'After a conflict: the plan that `planHash` names, as it was shown.' })
  shownPlan!: PlanType | null;

  @Field(() => DecisionType, { nullable: true, description: 'What was decided.' })
  decision!: DecisionType | null;
}

@ObjectType('DeployPayload', { description: 'The deployment and the plan, unless refused.' })
export class DeployPayload extends DeploymentPayload {}

@ObjectType('SetTrafficPayload', { description: 'The deployment and the plan, unless refused.' })
export class SetTrafficPayload extends DeploymentPayload {}

@ObjectType('RollbackPayload', { description: 'The deployment and the plan, unless refused.' })
export class RollbackPayload extends DeploymentPayload {}

@ObjectType('ScaleDeploymentPayload', { description: 'The deployment and the plan, unless refused.' })
export class ScaleDeploymentPayload extends DeploymentPayload {}

@ObjectType('DeleteDeploymentPayload', { description: 'The deployment as it goes and the plan, unless refused.' })
export class DeleteDeploymentPayload extends DeploymentPayload {
  @Field(() => ID, { nullable: true, description: 'Its id, once it is being deleted.' })
  deletedId!: string | null;
}

export const toDeploymentType = (row: Deployment): DeploymentType => ({
  id: toGlobalId('Deployment', row.id),
  row,
  path: deploymentPath(row),
  name: row.name,
  generation: row.generation,
  version: row.generation,
  wishedReplicas: row.spec.replicas,
  requestsPerSecond: row.spec.milliRequestsPerSecond === undefined ? null : row.spec.milliRequestsPerSecond / 1_000,
  maxReplicas: row.spec.maxReplicas,
  maxSpendPerHour: toMoney(row.spec.maxSpendPerHour),
  priority: priorityOf(row.spec),
  manager: row.spec.manager ?? null,
  status: { phase: row.phase, conditions: row.conditions, observedGeneration: row.observedGeneration },
  createdAt: row.createdAt,
});

export const toRevisionType = (row: Revision): RevisionType => ({
  id: toGlobalId('Revision', row.id),
  row,
  number: row.number,
  concurrency: row.concurrency,
  resources: row.spec.resources,
  createdAt: row.createdAt,
});

export const toReplicaType = (row: Replica): ReplicaType => ({
  id: toGlobalId('Replica', row.id),
  row,
  state: row.state,
  address: row.address,
  restarts: row.restarts,
  message: row.message,
  since: row.capacityFrom,
});

export const toRolloutType = (row: Rollout): RolloutType => row;
