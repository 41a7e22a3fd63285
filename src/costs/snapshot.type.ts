import { Field, ID, Int, ObjectType } from 'type-graphql';
import type { ReplicaState } from '../deployments/cluster.port.ts';
import { ReplicaStateName } from '../deployments/deployment.type.ts';
import { connectionOf } from '../graphql/connection.type.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { DateTime, JsonValue } from '../graphql/scalars.ts';
import type { Json } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { formatUsd } from '../kernel/money.ts';
import { PriceType, toPriceType } from '../pricing/price.type.ts';
import type { PastAlias, PastDeployment, PastReplicaPriced } from './snapshot.ts';

@ObjectType('Snapshot', { description: 'What was at an instant, as far as you may see it.' })
export class SnapshotType {
  @Field(() => DateTime, { description: 'The instant.' })
  instant!: Instant;
}

@ObjectType('TrafficShareSnapshot', { description: 'Where a share of the requests went.' })
export class TrafficShareSnapshotType {
  readonly modelVersionId!: Id | null;

  @Field(() => Int, { description: 'Number of the revision.' })
  revision!: number;

  @Field(() => Int, { description: 'Percent.' })
  weight!: number;
}

@ObjectType('ReplicaSnapshot', { description: 'A replica that held its slot.' })
export class ReplicaSnapshotType {
  @Field(() => ID, { description: 'Global id of the replica.' })
  replicaId!: string;

  @Field(() => Int, { description: 'Number of the revision that it ran.' })
  revision!: number;

  @Field(() => ReplicaStateName, { description: 'What it did.' })
  state!: ReplicaState;

  @Field(() => DateTime, { description: 'Since when it cost.' })
  from!: Instant;

  @Field(() => DateTime, { nullable: true, description: 'Until when, as is known now; null = it still costs.' })
  to!: Instant | null;

  @Field(() => String, { description: 'What it was priced by: provider/region/zone/instance type/capacity type.' })
  offering!: string;

  @Field(() => PriceType, {
    nullable: true,
    description: 'The price that was believed then, by what was known then; null = unpriced.',
  })
  price!: PriceType | null;
}

@ObjectType('DeploymentSnapshot', { description: 'A deployment as it was.' })
export class DeploymentSnapshotType {
  readonly row!: PastDeployment;
  readonly instant!: Instant;

  @Field(() => ID, { description: 'Global id of the deployment; it may be gone by now.' })
  deploymentId!: string;

  @Field(() => String, { description: '`team/project/deployment`.' })
  path!: string;

  @Field(() => Int, { description: 'The generation of the wish that held.' })
  generation!: number;

  @Field(() => DateTime, { description: 'Since when it held.' })
  validFrom!: Instant;

  @Field(() => String, { description: 'Who wished it: a principal id, or `reconciler:` and a loop.' })
  principal!: string;

  @Field(() => JsonValue, { description: 'The wish itself, with amounts in USD as strings.' })
  spec!: Json;

  @Field(() => [TrafficShareSnapshotType], { description: 'How requests were shared.' })
  traffic!: readonly TrafficShareSnapshotType[];

  @Field(() => [ReplicaSnapshotType], { description: 'The replicas that held their slot, oldest first.' })
  replicas!: readonly ReplicaSnapshotType[];

  @Field(() => MoneyType, { description: 'What those replicas cost per hour; unpriced ones count nothing.' })
  hourlyCost!: MoneyType;
}

@ObjectType('AliasSnapshot', { description: 'Where an alias pointed.' })
export class AliasSnapshotType {
  readonly versionId!: Id;

  @Field(() => String, { description: '`team/project/model`.' })
  modelPath!: string;

  @Field(() => String, { description: 'Name of the alias.' })
  name!: string;

  @Field(() => DateTime, { description: 'Since when it pointed there.' })
  validFrom!: Instant;

  @Field(() => String, { description: 'The principal that moved it.' })
  principal!: string;
}

export const DeploymentSnapshotConnection = connectionOf('DeploymentSnapshot', () => DeploymentSnapshotType);
export const AliasSnapshotConnection = connectionOf('AliasSnapshot', () => AliasSnapshotType);

export const toDeploymentSnapshotType =
  (instant: Instant) =>
  (row: PastDeployment): DeploymentSnapshotType => ({
    row,
    instant,
    deploymentId: toGlobalId('Deployment', row.deploymentId),
    path: row.path,
    generation: row.generation,
    validFrom: row.validFrom,
    principal: row.principal,
    spec: specJson(row),
    traffic: row.traffic,
    replicas: row.replicas.map(toReplicaSnapshotType),
    hourlyCost: toMoney(row.hourly),
  });

const toReplicaSnapshotType = (row: PastReplicaPriced): ReplicaSnapshotType => ({
  replicaId: toGlobalId('Replica', row.id),
  revision: row.revision,
  state: row.state,
  from: row.capacityFrom,
  to: row.capacityUntil,
  offering: row.offering,
  price: row.price && toPriceType(row.price),
});

export const toAliasSnapshotType = ({ versionId, modelPath, name, validFrom, principal }: PastAlias): AliasSnapshotType => ({
  versionId,
  modelPath,
  name,
  validFrom,
  principal,
});

function specJson({ spec: { maxSpendPerHour, ...rest } }: PastDeployment): Json {
  const plain = JSON.parse(JSON.stringify(rest)) as Record<string, Json>;
  return { ...plain, maxSpendPerHour: formatUsd(maxSpendPerHour) };
}
