import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { CapacityTypeName } from '../clouds/offering.type.ts';
import type { CapacityType } from '../clouds/offering.ts';
import { connectionOf } from '../graphql/connection.type.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { NodeType } from '../graphql/node.type.ts';
import { PayloadType } from '../graphql/payload.type.ts';
import { DateTime } from '../graphql/scalars.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Condition } from '../kernel/condition.ts';
import type { Cluster, ClusterConfig, ClusterKind, HeldRemovals, Pool } from './cluster.ts';

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

@ObjectType('NodeLabel', { description: 'A label of nodes.' })
export class NodeLabelType {
  @Field(() => String, { description: 'Key.' })
  key!: string;

  @Field(() => String, { description: 'Value.' })
  value!: string;
}

@ObjectType('Pool', { implements: NodeType, description: 'One kind of capacity in a cluster.' })
export class PoolType extends NodeType {
  @Field(() => String, { description: 'Name, unique in the cluster.' })
  name!: string;

  @Field(() => CapacityTypeName, { description: 'How its capacity is rented.' })
  capacityType!: CapacityType;

  @Field(() => [NodeLabelType], { description: 'Labels that its nodes carry; empty = any node.' })
  nodeSelector!: readonly NodeLabelType[];
}

@ObjectType('ClusterAccess', { description: 'How the control plane gets into a cluster: by reference, never a secret.' })
export class ClusterAccessType {
  @Field(() => Boolean, { description: 'By the service account of the pod that the control plane runs in.' })
  inCluster!: boolean;

  @Field(() => String, { nullable: true, description: 'Path of the kubeconfig that the control plane reads; null = none.' })
  file!: string | null;

  @Field(() => String, { nullable: true, description: 'Context in that file; null = its current one.' })
  context!: string | null;
}

@ObjectType('ClusterConfig', { description: 'What a Kubernetes cluster was registered with.' })
export class ClusterConfigType {
  @Field(() => ClusterAccessType, { description: 'How the control plane gets in.' })
  access!: ClusterAccessType;

  @Field(() => String, { description: 'Namespaces of teams are `<prefix>-<team>`; it also names the installation there.' })
  namespacePrefix!: string;

  @Field(() => String, { description: "Namespace of the installation's own objects." })
  systemNamespace!: string;

  @Field(() => String, { nullable: true, description: 'Image of the built-in model server; null = no ONNX models there.' })
  modelServerImage!: string | null;

  @Field(() => [String], { description: 'Address blocks whence routers reach replicas.' })
  routerCidrs!: readonly string[];

  @Field(() => String, { description: 'Namespace whence routers reach replicas.' })
  routerNamespace!: string;
}

@ObjectType('ClusterCondition', { description: 'One observed fact about a cluster.' })
export class ClusterConditionType {
  @Field(() => String, { description: 'Reachable or RemovalsHeld.' })
  type!: string;

  @Field(() => String, { description: 'True, False or Unknown.' })
  status!: string;

  @Field(() => String, { description: 'Machine-readable.' })
  reason!: string;

  @Field(() => String, { description: 'For people.' })
  message!: string;

  @Field(() => DateTime, { description: 'When `status` last changed.' })
  lastTransitionTime!: Instant;
}

@ObjectType('CapacitySource', { description: 'Where the pools of a cluster may rent machines.' })
export class CapacitySourceType {
  @Field(() => String, { description: 'Name of the provider, as configured.' })
  provider!: string;

  @Field(() => String, { description: '`provider/region`, as offerings have it.' })
  region!: string;

  @Field(() => [String], { description: 'Only in these zones; none = in every one.' })
  zones!: readonly string[];

  @Field(() => Int, { description: 'Machines of all pools that are made for it together.' })
  maxNodes!: number;
}

@ObjectType('ClusterStatus', { description: 'What was last seen of a cluster; empty before anybody looked.' })
export class ClusterStatusType {
  @Field(() => [ClusterConditionType], { description: 'Facts, each with when it last changed.' })
  conditions!: readonly ClusterConditionType[];

  @Field(() => DateTime, { nullable: true, description: 'When it was last seen, as of the last change of a condition.' })
  observedAt!: Instant | null;
}

@ObjectType('HeldRemovals', {
  description: 'Workloads that run there and that the database does not know; too many to be removed unasked.',
})
export class HeldRemovalsType {
  @Field(() => String, { description: 'Names exactly this set; pass it to `approveRemovals`.' })
  digest!: string;

  @Field(() => Int, { description: 'How many workloads.' })
  count!: number;
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

  @Field(() => ClusterConfigType, { nullable: true, description: 'Kubernetes only.' })
  config!: ClusterConfigType | null;

  @Field(() => [CapacitySourceType], { description: 'Where machines may be rented for it.' })
  capacitySources!: readonly CapacitySourceType[];

  @Field(() => DateTime, {
    nullable: true,
    description: 'When an operator said that it will not come back: what was wished there is wished elsewhere.',
  })
  lostAt!: Instant | null;

  @Field(() => ClusterStatusType, { description: 'What was last seen of it.' })
  status!: ClusterStatusType;

  @Field(() => HeldRemovalsType, { nullable: true, description: 'What waits for `approveRemovals`; null = nothing.' })
  heldRemovals!: HeldRemovalsType | null;

  @Field(() => Int, { description: 'Rises with every change; pass it as `expectedVersion`.' })
  version!: number;

  @Field(() => DateTime, { description: 'When it was registered.' })
  createdAt!: Instant;
}

export const ClusterConnection = connectionOf('Cluster', () => ClusterType);

@ObjectType()
abstract class ClusterPayloadType extends PayloadType {
  @Field(() => ClusterType, { nullable: true, description: 'The cluster.' })
  cluster!: ClusterType | null;
}

@ObjectType('CordonClusterPayload', { description: 'The cluster, unless refused.' })
export class CordonClusterPayload extends ClusterPayloadType {}

@ObjectType('DeclareClusterLostPayload', { description: 'The cluster, unless refused.' })
export class DeclareClusterLostPayload extends ClusterPayloadType {}

@ObjectType('RegisterClusterPayload', { description: 'The cluster, unless refused.' })
export class RegisterClusterPayload extends ClusterPayloadType {}

@ObjectType('UpdateClusterPayload', { description: 'The cluster, unless refused.' })
export class UpdateClusterPayload extends ClusterPayloadType {}

@ObjectType('ApproveRemovalsPayload', { description: 'The cluster, unless refused.' })
export class ApproveRemovalsPayload extends ClusterPayloadType {}

@ObjectType('RemoveClusterPayload', { description: 'What was removed, unless refused.' })
export class RemoveClusterPayload extends PayloadType {
  @Field(() => ID, { nullable: true, description: 'Global id of the cluster that is no more.' })
  removedId!: string | null;
}

const toConfigType = ({
  access,
  namespacePrefix,
  systemNamespace,
  modelServerImage,
  routerSources,
}: ClusterConfig): ClusterConfigType => ({
  access: {
    inCluster: access.kind === 'in_cluster',
    file: access.kind === 'kubeconfig' ? access.file : null,
    context: access.kind === 'kubeconfig' ? access.context : null,
  },
  namespacePrefix,
  systemNamespace,
  modelServerImage,
  routerCidrs: routerSources.cidrs,
  routerNamespace: routerSources.namespace,
});

const toHeldType = ({ digest, workloadIds }: HeldRemovals): HeldRemovalsType => ({ digest, count: workloadIds.length });
const toConditionType = (condition: Condition): ClusterConditionType => ({ ...condition });

export const toClusterType = (cluster: Cluster): ClusterType => ({
  id: toGlobalId('Cluster', cluster.id),
  rowId: cluster.id,
  name: cluster.name,
  kind: cluster.kind,
  cordoned: cluster.cordoned,
  capacitySources: (cluster.capacitySources ?? []).map(({ config: _, ...source }) => source),
  lostAt: cluster.lostAt ?? null,
  config: cluster.config && toConfigType(cluster.config),
  status: { conditions: cluster.conditions.map(toConditionType), observedAt: cluster.observedAt },
  heldRemovals: cluster.heldRemovals && toHeldType(cluster.heldRemovals),
  version: cluster.version,
  createdAt: cluster.createdAt,
});

export const toPoolType = ({ id, name, capacityType, nodeSelector }: Pool): PoolType => ({
  id: toGlobalId('Pool', id),
  name,
  capacityType,
  nodeSelector: Object.entries(nodeSelector).map(([key, value]) => ({ key, value })),
});
