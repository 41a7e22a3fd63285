import { ArgsType, Field, ID, InputType, Int } from 'type-graphql';
import { offeringIdOf } from '../clouds/offering-key.ts';
import type { CapacityType } from '../clouds/offering.ts';
import { CapacityTypeName } from '../clouds/offering.type.ts';
import { idOfType, NOWHERE } from '../graphql/global-id.ts';
import { IDEMPOTENCY_KEY } from '../graphql/idempotency-key.ts';
import { oneOf } from '../graphql/one-of.ts';
import type { Id } from '../kernel/id.ts';
import { OfferingKeyInput, toOfferingKey } from '../pricing/offering.input.ts';
import type { ClusterEdit } from './change-cluster.ts';
import {
  DEFAULT_NAMESPACE_PREFIX,
  DEFAULT_POOL,
  DEFAULT_SYSTEM_NAMESPACE,
  type CapacitySource,
  type ClusterAccess,
  type ClusterConfig,
  type PoolWish,
} from './cluster.ts';

@InputType(oneOf('ClusterBy'), { description: 'Names one cluster.' })
export class ClusterBy {
  @Field(() => ID, { nullable: true, description: 'Global id.' })
  id?: string | null;

  @Field(() => String, { nullable: true, description: 'Name.' })
  path?: string | null;
}

@InputType('KubeconfigInput', { description: 'A kubeconfig by reference.' })
export class KubeconfigInput {
  @Field(() => String, { description: 'Absolute path of a file that every control plane can read.' })
  file!: string;

  @Field(() => String, { nullable: true, description: 'Context in it; default: its current one.' })
  context?: string | null;
}

@InputType(oneOf('ClusterAccessInput'), {
  description: 'How the control plane gets into a cluster: by reference, never a secret.',
})
export class ClusterAccessInput {
  @Field(() => KubeconfigInput, { nullable: true, description: 'By a kubeconfig.' })
  kubeconfig?: KubeconfigInput | null;

  @Field(() => Boolean, {
    nullable: true,
    description: 'True: by the service account of the pod that the control plane runs in.',
  })
  inCluster?: boolean | null;
}

@InputType('NodeLabelInput', { description: 'A label of nodes.' })
export class NodeLabelInput {
  @Field(() => String, { description: 'Key.' })
  key!: string;

  @Field(() => String, { description: 'Value.' })
  value!: string;
}

@InputType('PoolInput', { description: 'One kind of capacity in a cluster.' })
export class PoolInput {
  @Field(() => String, { description: 'A DNS label, unique in the cluster.' })
  name!: string;

  @Field(() => CapacityTypeName, { defaultValue: 'on_demand', description: 'How its capacity is rented.' })
  capacityType!: CapacityType;

  @Field(() => [NodeLabelInput], { defaultValue: [], description: 'Labels that its nodes carry; none = any node.' })
  nodeSelector!: NodeLabelInput[];

  @Field(() => OfferingKeyInput, {
    nullable: true,
    description: 'What a replica there is priced by; default: the cheapest offering that fits it.',
  })
  offering?: OfferingKeyInput | null;
}

@InputType('CapacitySourceInput', { description: 'Where the pools of a cluster may rent machines.' })
export class CapacitySourceInput {
  @Field(() => String, { description: 'Name of the provider, as configured.' })
  provider!: string;

  @Field(() => String, { description: '`provider/region`, as offerings have it.' })
  region!: string;

  @Field(() => [String], { defaultValue: [], description: 'Only in these zones; none = in every one.' })
  zones!: string[];

  @Field(() => Int, { defaultValue: 10, description: 'Machines of all pools that are made for it together.' })
  maxNodes!: number;

  @Field(() => [NodeLabelInput], { defaultValue: [], description: "The provider's own settings of such pools; never a secret." })
  settings!: NodeLabelInput[];
}

@InputType('RegisterClusterInput', { description: 'A Kubernetes cluster.' })
export class RegisterClusterInput {
  @Field(() => String, { description: 'A DNS label, unique.' })
  name!: string;

  @Field(() => ClusterAccessInput, { description: 'How the control plane gets in.' })
  access!: ClusterAccessInput;

  @Field(() => String, {
    defaultValue: DEFAULT_NAMESPACE_PREFIX,
    description: 'Namespaces of teams are `<prefix>-<team>`. It names the installation there: two on one cluster need two.',
  })
  namespacePrefix!: string;

  @Field(() => String, { defaultValue: DEFAULT_SYSTEM_NAMESPACE, description: "Namespace of the installation's own objects." })
  systemNamespace!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Image of the built-in model server, pinned by digest; without it no ONNX model runs there.',
  })
  modelServerImage?: string | null;

  @Field(() => [String], { defaultValue: [], description: 'Address blocks (CIDR) whence routers reach replicas.' })
  routerCidrs!: string[];

  @Field(() => String, { nullable: true, description: 'Namespace of routers that run there; default: the system namespace.' })
  routerNamespace?: string | null;

  @Field(() => [PoolInput], { nullable: true, description: 'Its pools; default: one named `default`, on any node.' })
  pools?: PoolInput[] | null;

  @Field(() => [CapacitySourceInput], {
    nullable: true,
    description: 'Where machines may be rented for it: a deployment that names no cluster is placed there, and its pool is made.',
  })
  capacitySources?: CapacitySourceInput[] | null;
}

@InputType('UpdateClusterInput', { description: 'What shall become of a registered cluster; what is left out stays as it is.' })
export class UpdateClusterInput {
  @Field(() => ID, { description: 'Global id of the cluster.' })
  cluster!: string;

  @Field(() => ClusterAccessInput, { nullable: true, description: 'How the control plane gets in from now on.' })
  access?: ClusterAccessInput | null;

  @Field(() => String, {
    nullable: true,
    description: 'Image of the built-in model server, pinned by digest; running replicas are replaced by ones of the new image.',
  })
  modelServerImage?: string | null;

  @Field(() => [String], { nullable: true, description: 'Address blocks (CIDR) whence routers reach replicas: all of them.' })
  routerCidrs?: string[] | null;

  @Field(() => String, { nullable: true, description: 'Namespace of routers that run there.' })
  routerNamespace?: string | null;

  @Field(() => [PoolInput], {
    defaultValue: [],
    description:
      'Pools to be added, or changed where it has one of that name: its node selector (running replicas move) and, if given, its offering (for what is placed later). How its capacity is rented stays.',
  })
  pools!: PoolInput[];

  @Field(() => [CapacitySourceInput], { nullable: true, description: 'Where machines may be rented for it: all of them.' })
  capacitySources?: CapacitySourceInput[] | null;

  @Field(() => [String], {
    defaultValue: [],
    description: 'Names of pools to be taken out; nothing may be wished or left there. Rented machines are given back.',
  })
  removePools!: string[];
}

@InputType('CordonClusterInput', { description: 'Whether a cluster takes new replicas.' })
export class CordonClusterInput {
  @Field(() => ID, { description: 'Global id of the cluster.' })
  cluster!: string;

  @Field(() => Boolean, { defaultValue: true, description: 'False lets it take replicas again.' })
  cordoned!: boolean;
}

@InputType('DeclareClusterLostInput', { description: 'Whether a cluster will come back.' })
export class DeclareClusterLostInput {
  @Field(() => ID, { description: 'Global id of the cluster.' })
  cluster!: string;

  @Field(() => Boolean, { defaultValue: true, description: 'False: it is back, and takes new replicas again.' })
  lost!: boolean;
}

@InputType('RemoveClusterInput', { description: 'Which cluster to forget.' })
export class RemoveClusterInput {
  @Field(() => ID, { description: 'Global id of the cluster; nothing may be wished or left there.' })
  cluster!: string;
}

@InputType('ApproveRemovalsInput', { description: 'What may be removed from a cluster.' })
export class ApproveRemovalsInput {
  @Field(() => ID, { description: 'Global id of the cluster.' })
  cluster!: string;

  @Field(() => String, { description: '`heldRemovals.digest` as it was shown: another set is refused.' })
  digest!: string;
}

@ArgsType()
abstract class ClusterArgs {
  @Field(() => String, IDEMPOTENCY_KEY)
  idempotencyKey?: string | null;
}

@ArgsType()
export class RegisterClusterArgs extends ClusterArgs {
  @Field(() => RegisterClusterInput, { description: 'The cluster.' })
  input!: RegisterClusterInput;
}

@ArgsType()
abstract class ClusterChangeArgs extends ClusterArgs {
  @Field(() => Int, { nullable: true, description: 'Refused if the cluster has changed since.' })
  expectedVersion?: number | null;
}

@ArgsType()
export class ApproveRemovalsArgs extends ClusterChangeArgs {
  @Field(() => ApproveRemovalsInput, { description: 'What.' })
  input!: ApproveRemovalsInput;
}

@ArgsType()
export class CordonClusterArgs extends ClusterChangeArgs {
  @Field(() => CordonClusterInput, { description: 'What.' })
  input!: CordonClusterInput;
}

@ArgsType()
export class DeclareClusterLostArgs extends ClusterChangeArgs {
  @Field(() => DeclareClusterLostInput, { description: 'Which.' })
  input!: DeclareClusterLostInput;
}

@ArgsType()
export class UpdateClusterArgs extends ClusterChangeArgs {
  @Field(() => UpdateClusterInput, { description: 'What.' })
  input!: UpdateClusterInput;
}

@ArgsType()
export class RemoveClusterArgs extends ClusterChangeArgs {
  @Field(() => RemoveClusterInput, { description: 'Which.' })
  input!: RemoveClusterInput;
}

/** Null when neither way in was really given. */
const toAccess = ({ kubeconfig, inCluster }: ClusterAccessInput): ClusterAccess | null => {
  if (kubeconfig) return { kind: 'kubeconfig', file: kubeconfig.file, context: kubeconfig.context ?? null };
  return inCluster ? { kind: 'in_cluster' } : null;
};

export function toClusterConfig(input: RegisterClusterInput): ClusterConfig | null {
  const access = toAccess(input.access);
  const { namespacePrefix, systemNamespace, modelServerImage = null, routerCidrs: cidrs } = input;
  const routerSources = { namespace: input.routerNamespace ?? systemNamespace, cidrs };
  return access && { access, namespacePrefix, systemNamespace, modelServerImage, routerSources };
}

/** Null when an access was named and neither way in was really given. */
export function toClusterEdit(input: UpdateClusterInput): ClusterEdit | null {
  const access = input.access ? toAccess(input.access) : null;
  if (input.access && !access) return null;
  const { modelServerImage = null, routerCidrs = null, routerNamespace = null, removePools } = input;
  const capacitySources = input.capacitySources?.map(toCapacitySource) ?? null;
  const settings = { access, modelServerImage, routerCidrs, routerNamespace, capacitySources };
  return { ...settings, pools: input.pools.map(toPoolWish), removePools };
}

const pairsOf = (pairs: readonly NodeLabelInput[]): Record<string, string> =>
  Object.fromEntries(pairs.map(({ key, value }) => [key, value]));

export const toCapacitySource = ({ settings, ...source }: CapacitySourceInput): CapacitySource => ({
  ...source,
  config: pairsOf(settings),
});

/** What names nothing finds nothing. */
export const clusterRef = ({ id, path }: ClusterBy): { readonly id: Id } | { readonly name: string } =>
  typeof path === 'string' ? { name: path } : { id: idOfType('Cluster', id ?? '') ?? NOWHERE };

const ANY_NODE: PoolWish = { name: DEFAULT_POOL, capacityType: 'on_demand', offeringId: null, nodeSelector: {} };

export const toPoolWishes = ({ pools }: RegisterClusterInput): PoolWish[] =>
  (pools ?? []).length === 0 ? [ANY_NODE] : (pools ?? []).map(toPoolWish);

const toPoolWish = ({ name, capacityType, offering, nodeSelector }: PoolInput): PoolWish => ({
  name,
  capacityType,
  offeringId: offering ? offeringIdOf(toOfferingKey(offering)) : null,
  nodeSelector: pairsOf(nodeSelector),
});
