import { Field, Int, ObjectType, registerEnumType } from 'type-graphql';
import { CapacityTypeName } from '../clouds/offering.type.ts';
import type { CapacityType } from '../clouds/offering.ts';
import { connectionOf } from '../graphql/connection.type.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { NodeType } from '../graphql/node.type.ts';
import { PayloadType } from '../graphql/payload.type.ts';
import { DateTime } from '../graphql/scalars.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Cluster, ClusterKind, Pool } from './cluster.ts';

export const ClusterKindName: Record<string, ClusterKind> = { LOCAL: 'local', KUBERNETES: 'kubernetes', SIMULATED: 'simulated' };
registerEnumType(ClusterKindName, {
  name: 'ClusterKind',
  description: 'What runs the replicas.',
  valuesConfig: {
    LOCAL: { description: 'Processes on one machine.' },
    KUBERNETES: { description: 'A Kubernetes cluster.' },
    SIMULATED: { description: 'Nothing: for trying policies.' },
  },
});

@ObjectType('Pool', { implements: NodeType, description: 'One kind of capacity in a cluster.' })
export class PoolType extends NodeType {
  @Field(() => String, { description: 'Name, unique in the cluster.' })
  name!: string;

  @Field(() => CapacityTypeName, { description: 'How its capacity is rented.' })
  capacityType!: CapacityType;
}

@ObjectType('Cluster', { implements: NodeType, description: 'A place that runs replicas.' })
export class ClusterType extends NodeType {
  readonly rowId!: Id;

  @Field(() => String, { description: 'Name, unique.' })
  name!: string;

  @Field(() => ClusterKindName, { description: 'What runs the replicas.' })
  kind!: ClusterKind;

  @Field(() => Boolean, { description: 'True: nothing new is placed there; what runs, runs on.' })
  cordoned!: boolean;

  @Field(() => Int, { description: 'Rises with every change; pass it as `expectedVersion`.' })
  version!: number;

  @Field(() => DateTime, { description: 'When it was registered.' })
  createdAt!: Instant;
}

export const ClusterConnection = connectionOf('Cluster', () => ClusterType);

@ObjectType('CordonClusterPayload', { description: 'The cluster, unless refused.' })
export class CordonClusterPayload extends PayloadType {
  @Field(() => ClusterType, { nullable: true, description: 'The cluster.' })
  cluster!: ClusterType | null;
}

export const toClusterType = ({ id, name, kind, cordoned, version, createdAt }: Cluster): ClusterType => ({
  id: toGlobalId('Cluster', id),
  rowId: id,
  name,
  kind,
  cordoned,
  version,
  createdAt,
});

export const toPoolType = ({ id, name, capacityType }: Pool): PoolType => ({ id: toGlobalId('Pool', id), name, capacityType });
