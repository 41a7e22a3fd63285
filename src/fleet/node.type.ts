import { ArgsType, Field, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql';
import { CapacityTypeName } from '../clouds/offering.type.ts';
import type { CapacityType } from '../clouds/offering.ts';
import { connectionOf } from '../graphql/connection.type.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { IDEMPOTENCY_KEY } from '../graphql/idempotency-key.ts';
import { NodeType } from '../graphql/node.type.ts';
import { PayloadType } from '../graphql/payload.type.ts';
import { DateTime } from '../graphql/scalars.ts';
import type { Instant } from '../kernel/instant.ts';
import { ResourcesType } from '../registry/resources.type.ts';
import type { NodeReadiness } from './cluster-inventory.port.ts';
import { ClusterConditionType, PoolType } from './cluster.type.ts';
import type { ClusterNode, PoolScaling } from './node.ts';

export const NodeReadinessName: Record<string, NodeReadiness> = { READY: 'ready', NOT_READY: 'not_ready', UNKNOWN: 'unknown' };
registerEnumType(NodeReadinessName, {
  name: 'NodeReadiness',
  description: 'Whether a node runs what it should.',
  valuesConfig: {
    READY: { description: 'It does.' },
    NOT_READY: { description: 'It says that it does not.' },
    UNKNOWN: { description: 'Nobody hears of it; it may run on.' },
  },
});

@ObjectType('ClusterNode', { implements: NodeType, description: 'A machine of a cluster.' })
export class ClusterNodeType extends NodeType {
  readonly row!: ClusterNode;

  @Field(() => String, { description: 'Name in its cluster.' })
  name!: string;

  @Field(() => String, { nullable: true, description: "The provider's name of what it is; null where the node does not say." })
  instanceType!: string | null;

  @Field(() => String, { nullable: true, description: "The provider's name of its region." })
  region!: string | null;

  @Field(() => String, { nullable: true, description: "The provider's name of its zone." })
  zone!: string | null;

  @Field(() => CapacityTypeName, { description: 'How it is rented.' })
  capacityType!: CapacityType;

  @Field(() => ResourcesType, { description: 'What the machine has.' })
  capacity!: ClusterNode['capacity'];

  @Field(() => ResourcesType, { description: 'What of it pods may have.' })
  allocatable!: ClusterNode['allocatable'];

  @Field(() => NodeReadinessName, { description: 'Whether it runs what it should.' })
  readiness!: NodeReadiness;

  @Field(() => Boolean, { description: 'True: it runs what it should.' })
  ready!: boolean;

  @Field(() => DateTime, { description: 'Since when `readiness` is what it is.' })
  since!: Instant;

  @Field(() => Boolean, { description: 'False: it takes no new pods.' })
  schedulable!: boolean;

  @Field(() => String, { nullable: true, description: 'Why it will be taken away; null = nobody said so.' })
  notice!: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Why the price that is written on it is none, and what to write instead; until then its time is unpriced. Null = nothing stands against it.',
  })
  priceProblem!: string | null;

  @Field(() => Int, { description: 'Pods on it, those left out that every node has.' })
  pods!: number;

  @Field(() => DateTime, {
    nullable: true,
    description: 'Since when nothing but what every node has is on it; null = something is.',
  })
  idleSince!: Instant | null;

  @Field(() => DateTime, { description: 'When it joined.' })
  createdAt!: Instant;

  @Field(() => DateTime, { nullable: true, description: 'When it was gone; null while it is there.' })
  removedAt!: Instant | null;
}

export const ClusterNodeConnection = connectionOf('ClusterNode', () => ClusterNodeType);

@ObjectType('PoolSetting', { description: 'A setting of a provider.' })
export class PoolSettingType {
  @Field(() => String, { description: 'Name.' })
  name!: string;

  @Field(() => String, { description: 'Value.' })
  value!: string;
}

@ObjectType('PoolScaling', { description: 'How a pool grows for replicas that fit nowhere, and shrinks again.' })
export class PoolScalingType {
  @Field(() => String, { description: 'Which of the configured providers rents its machines.' })
  provider!: string;

  @Field(() => Int, { description: 'It never has fewer nodes.' })
  minNodes!: number;

  @Field(() => Int, { description: 'It never has more.' })
  maxNodes!: number;

  @Field(() => Int, { nullable: true, description: 'What its provider was last asked for; null = nothing yet.' })
  desiredNodes!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was last asked for another number.' })
  scaledAt!: Instant | null;

  @Field(() => [PoolSettingType], { description: "The provider's own settings of this pool, by name." })
  settings!: readonly PoolSettingType[];

  @Field(() => Int, { description: 'Rises with every change of the wish; pass it as `expectedVersion`.' })
  version!: number;

  @Field(() => [ClusterConditionType], { description: '`Growing` is False while something keeps it from growing.' })
  conditions!: readonly ClusterConditionType[];
}

@InputType('PoolSettingInput', { description: 'A setting of a provider.' })
export class PoolSettingInput {
  @Field(() => String, { description: 'Name.' })
  name!: string;

  @Field(() => String, { description: 'Value.' })
  value!: string;
}

@InputType('SetPoolScalingInput', { description: 'How a pool may scale.' })
export class SetPoolScalingInput {
  @Field(() => ID, { description: 'Global id of the pool.' })
  pool!: string;

  @Field(() => String, { description: 'Which of the configured providers rents its machines.' })
  provider!: string;

  @Field(() => Int, { defaultValue: 0, description: 'It never has fewer nodes.' })
  minNodes!: number;

  @Field(() => Int, { description: 'It never has more, at most 1,000.' })
  maxNodes!: number;

  @Field(() => [PoolSettingInput], {
    defaultValue: [],
    description:
      "The provider's own settings; never a secret. `instanceType`, `region`, `zone`, `cpuMilli` and `memoryMib` say what a node is before there is one; after `idleSeconds` (600) without work a node is given back.",
  })
  settings!: PoolSettingInput[];
}

@ArgsType()
export class SetPoolScalingArgs {
  @Field(() => SetPoolScalingInput, { description: 'What.' })
  input!: SetPoolScalingInput;

  @Field(() => String, IDEMPOTENCY_KEY)
  idempotencyKey?: string | null;

  @Field(() => Int, { nullable: true, description: 'Refused if how it scales has changed since; 0 = it did not scale.' })
  expectedVersion?: number | null;
}

@InputType('ResumePoolGrowthInput', { description: 'Growth that was held for being too fast.' })
export class ResumePoolGrowthInput {
  @Field(() => ID, { description: 'Global id of the pool.' })
  pool!: string;

  @Field(() => Boolean, { defaultValue: false, description: 'Of all pools together, where that is held.' })
  all!: boolean;
}

@ArgsType()
export class ResumePoolGrowthArgs {
  @Field(() => ResumePoolGrowthInput, { description: 'What.' })
  input!: ResumePoolGrowthInput;

  @Field(() => String, IDEMPOTENCY_KEY)
  idempotencyKey?: string | null;

  @Field(() => Int, { nullable: true, description: 'Refused if how the pool scales has changed since.' })
  expectedVersion?: number | null;
}

@ObjectType('ResumePoolGrowthPayload', { description: 'The pool, unless refused.' })
export class ResumePoolGrowthPayload extends PayloadType {
  @Field(() => PoolType, { nullable: true, description: 'The pool.' })
  pool!: PoolType | null;
}

@ObjectType('SetPoolScalingPayload', { description: 'The pool, unless refused.' })
export class SetPoolScalingPayload extends PayloadType {
  @Field(() => PoolType, { nullable: true, description: 'The pool.' })
  pool!: PoolType | null;
}

export const toClusterNodeType = (row: ClusterNode): ClusterNodeType => ({
  ...{
    id: toGlobalId('ClusterNode', row.id),
    row,
    name: row.name,
    instanceType: row.instanceType,
    region: row.region,
    zone: row.zone,
  },
  ...{ capacityType: row.capacityType, capacity: row.capacity, allocatable: row.allocatable, schedulable: row.schedulable },
  ...{
    readiness: row.readiness,
    ready: row.readiness === 'ready',
    since: row.readinessSince,
    notice: row.notice?.message ?? null,
  },
  priceProblem: row.priceProblem,
  ...{ pods: row.pods, idleSince: row.idleSince, createdAt: row.from, removedAt: row.until },
});

export const toPoolScalingType = (scaling: PoolScaling): PoolScalingType => ({
  ...{ provider: scaling.provider, minNodes: scaling.minNodes, maxNodes: scaling.maxNodes },
  settings: Object.entries(scaling.config)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({ name, value })),
  ...{ desiredNodes: scaling.desiredNodes, scaledAt: scaling.scaledAt, conditions: scaling.conditions },
  version: scaling.version,
});
