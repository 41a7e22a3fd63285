import type { AutoScalingGroup } from '@aws-sdk/client-auto-scaling';
import type { CreateNodegroupRequest, Nodegroup } from '@aws-sdk/client-eks';
import { CloudUnknown, type CloudFence, type CloudPool, type CloudPoolState, type CloudResult } from '../cloud-provider.port.ts';
import { notOurs } from '../left-alone.ts';
import { nameMachines } from '../plan-scale.ts';
import { AwsRefusal, refusalInWords } from './aws-errors.ts';
import type { AwsPoolDeps, Wish } from './aws-pool-deps.adapter.ts';
import type { PoolRecord } from './aws-pool-records.adapter.ts';
import { digestOfJson } from '../../kernel/digest.ts';
import { instanceTags, listOf, nameOf, settingOf, TAG, toTags } from './pool-tags.ts';

/** Nodes that a group may have if its pool does not say (`maxNodes`). Higher: EKS refuses what the account may not have; lower: pools stop growing. */
const MAX_NODES = 100;

/** The group behind a node group, as Auto Scaling shows it. */
interface Group {
  readonly name: string;
  readonly desired: number;
  readonly max: number;
  readonly instanceIds: readonly string[];
  readonly isFixed: boolean;
}

/** Auto Scaling said why it could not start machines. */
interface Shortage {
  readonly activityId: string;
  readonly refusal: AwsRefusal;
}

/**
 * Pools as managed node groups of EKS. How many machines a group has is said to the Auto Scaling group behind it, and which ones go is said by
 * name: Auto Scaling never chooses, and is told not to balance zones by itself. It does replace what EC2 takes away: the wish stands. What it
 * could not start is wished for no longer, and is refused when it is asked for again.
 */
export class AwsNodeGroups {
  readonly #deps: AwsPoolDeps;
  /** By group: the failure that was known when it was last asked to grow; only a later one is of that. */
  readonly #known = new Map<string, string>();

  constructor(deps: AwsPoolDeps) {
    this.#deps = deps;
  }

  async ensure(pool: CloudPool, region: string, record: PoolRecord | null, { epoch }: CloudFence): Promise<CloudResult> {
    const { records } = this.#deps;
    const wanted = groupOf(pool);
    const tags = {
      [TAG.nodeGroup]: `${wanted.clusterName}/${wanted.nodegroupName}`,
      [TAG.description]: digestOfJson({ labels: { ...pool.labels } }),
      [TAG.epoch]: String(epoch),
    };
    const known = record ?? (await records.create({ region, key: pool.key, data: machineTags(pool.key), tags }));
    await records.raise(known, epoch);
    const group = await this.#nodeGroup(known);
    if (!group) await this.#create(known, wanted);
    else await this.#adjust(known, group, pool);
    return { outcome: 'accepted' };
  }

  async scale(record: PoolRecord, wish: Wish, { epoch }: CloudFence): Promise<CloudResult> {
    const group = await this.#scalingGroup(record);
    const released = group.instanceIds.filter((id) => wish.release.includes(id));
    const shortage = await this.#shortage(record, group);
    const left = (shortage ? group.instanceIds.length : group.desired) - released.length;
    if (wish.desired < left) return nameMachines(left, wish.desired);
    if (wish.desired > group.max)
      throw new AwsRefusal('LimitExceeded', `the node group may have ${group.max} nodes (setting \`maxNodes\`)`, null);
    await this.#deps.records.raise(record, epoch);
    if (!group.isFixed) await this.#stopRebalancing(record, group);
    if (shortage) await this.#giveUp(record, group, shortage);
    if (shortage && wish.desired > left) throw shortage.refusal;
    for (const id of released) await this.#giveBack(record, id);
    if (wish.desired > left) await this.#setDesired(record, group, wish.desired);
    return { outcome: 'accepted' };
  }

  async observe(record: PoolRecord): Promise<CloudPoolState> {
    const machines = await this.#deps.machines.ofPool(record.region, record.key);
    const nodes = machines.map(({ instanceId, nodeName, phase, since }) => ({ instanceId, nodeName, phase, since }));
    const group = await this.#nodeGroup(record);
    const name = group && scalingGroupOf(group);
    const scaling = name ? await this.#describe(record, name) : null;
    if (!scaling) return { desired: 0, nodes };
    const isShort = (await this.#shortage(record, scaling)) !== null;
    return { desired: isShort ? scaling.instanceIds.length : scaling.desired, nodes };
  }

  /** EKS takes minutes: until the group is gone the pool is not forgotten, and its failures show. */
  async remove(record: PoolRecord): Promise<CloudResult> {
    const group = await this.#nodeGroup(record);
    if (group && group.status !== 'DELETING') await this.#delete(record);
    if (group && (await this.#nodeGroup(record)))
      throw new CloudUnknown(`AWS: the node group of ${record.key} is still being deleted`);
    await this.#deps.records.remove(record);
    return { outcome: 'accepted' };
  }

  async #create({ region, templateId }: PoolRecord, wanted: CreateNodegroupRequest): Promise<void> {
    const { sdk, client } = await this.#deps.api.open('eks', region);
    const command = new sdk.CreateNodegroupCommand({
      ...wanted,
      launchTemplate: { id: templateId, version: '1' },
      clientRequestToken: templateId,
    });
    await this.#deps.api.ask('CreateNodegroup', (abortSignal) => client.send(command, { abortSignal }));
  }

  /** Labels follow the description; what machines are cannot be changed in a node group. */
  async #adjust(record: PoolRecord, group: Nodegroup, pool: CloudPool): Promise<void> {
    if (group.status === 'DELETING') throw new CloudUnknown(`AWS: the former node group of ${pool.key} is still being deleted`);
    const wanted = groupOf(pool);
    if (group.instanceTypes?.[0] !== pool.instanceType || group.capacityType !== wanted.capacityType)
      throw new AwsRefusal(
        'NodegroupImmutable',
        'a node group keeps its instance type and capacity type: make another pool',
        null,
      );
    const old = group.labels ?? {};
    const removed = Object.keys(old).filter((name) => !Object.hasOwn(pool.labels, name));
    const changed = Object.entries(pool.labels).filter(([name, value]) => old[name] !== value);
    if (removed.length + changed.length === 0) return;
    const { sdk, client } = await this.#deps.api.open('eks', record.region);
    const command = new sdk.UpdateNodegroupConfigCommand({
      ...{ clusterName: wanted.clusterName, nodegroupName: wanted.nodegroupName },
      labels: { addOrUpdateLabels: Object.fromEntries(changed), removeLabels: removed },
    });
    await this.#deps.api.ask('UpdateNodegroupConfig', (abortSignal) => client.send(command, { abortSignal }));
  }

  /** Throws `LeftAlone` where it is another's. */
  async #nodeGroup({ key, region, nodeGroup }: PoolRecord): Promise<Nodegroup | null> {
    const { sdk, client } = await this.#deps.api.open('eks', region);
    const command = new sdk.DescribeNodegroupCommand({ clusterName: nodeGroup?.cluster, nodegroupName: nodeGroup?.name });
    try {
      const answer = await this.#deps.api.ask('DescribeNodegroup', (abortSignal) => client.send(command, { abortSignal }));
      return answer.nodegroup ? ownGroup(answer.nodegroup, key) : null;
    } catch (error) {
      if (error instanceof AwsRefusal && error.code === 'ResourceNotFoundException') return null;
      throw error;
    }
  }

  async #delete({ region, nodeGroup }: PoolRecord): Promise<void> {
    const { sdk, client } = await this.#deps.api.open('eks', region);
    const command = new sdk.DeleteNodegroupCommand({ clusterName: nodeGroup?.cluster, nodegroupName: nodeGroup?.name });
    await this.#deps.api.ask('DeleteNodegroup', (abortSignal) => client.send(command, { abortSignal }));
  }

  async #scalingGroup(record: PoolRecord): Promise<Group> {
    const group = await this.#nodeGroup(record);
    if (group?.status === 'CREATE_FAILED' || group?.status === 'DELETE_FAILED')
      throw new AwsRefusal(group.status, (group.health?.issues ?? []).map(({ message = '' }) => message).join(' '), null);
    const name = group && scalingGroupOf(group);
    const found = name ? await this.#describe(record, name) : null;
    if (!found) throw new CloudUnknown(`AWS: the node group of ${record.key} is not there yet`);
    return found;
  }

  async #describe({ region }: PoolRecord, name: string): Promise<Group | null> {
    const { sdk, client } = await this.#deps.api.open('autoScaling', region);
    const command = new sdk.DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [name] });
    const send = (abortSignal: AbortSignal) => client.send(command, { abortSignal });
    const { AutoScalingGroups = [] } = await this.#deps.api.ask('DescribeAutoScalingGroups', send);
    return AutoScalingGroups[0] ? toGroup(name, AutoScalingGroups[0]) : null;
  }

  async #stopRebalancing({ region }: PoolRecord, { name }: Group): Promise<void> {
    const { sdk, client } = await this.#deps.api.open('autoScaling', region);
    const command = new sdk.SuspendProcessesCommand({ AutoScalingGroupName: name, ScalingProcesses: ['AZRebalance'] });
    await this.#deps.api.ask('SuspendProcesses', (abortSignal) => client.send(command, { abortSignal }));
  }

  async #giveBack({ region }: PoolRecord, instanceId: string): Promise<void> {
    const { sdk, client } = await this.#deps.api.open('autoScaling', region);
    const command = new sdk.TerminateInstanceInAutoScalingGroupCommand({
      InstanceId: instanceId,
      ShouldDecrementDesiredCapacity: true,
    });
    const send = (abortSignal: AbortSignal) => client.send(command, { abortSignal });
    await this.#deps.api.ask('TerminateInstanceInAutoScalingGroup', send);
  }

  /** Why the machines that are missing do not come; null = they may be on their way. */
  async #shortage({ region }: PoolRecord, { name, desired, instanceIds }: Group): Promise<Shortage | null> {
    if (instanceIds.length >= desired) return null;
    const { sdk, client } = await this.#deps.api.open('autoScaling', region);
    const command = new sdk.DescribeScalingActivitiesCommand({ AutoScalingGroupName: name, MaxRecords: 1 });
    const send = (abortSignal: AbortSignal) => client.send(command, { abortSignal });
    const { Activities = [] } = await this.#deps.api.ask('DescribeScalingActivities', send);
    const [newest] = Activities;
    if (newest?.StatusCode !== 'Failed' || newest.ActivityId === this.#known.get(name)) return null;
    const refusal = refusalInWords(newest.StatusMessage ?? '');
    return refusal && { activityId: newest.ActivityId ?? '', refusal };
  }

  /** So that what was refused does not come later, when nobody counts on it. */
  async #giveUp(record: PoolRecord, group: Group, { activityId }: Shortage): Promise<void> {
    await this.#setDesired(record, group, group.instanceIds.length);
    this.#known.set(group.name, activityId);
  }

  async #setDesired({ region }: PoolRecord, { name }: Group, desired: number): Promise<void> {
    const { sdk, client } = await this.#deps.api.open('autoScaling', region);
    const command = new sdk.SetDesiredCapacityCommand({
      ...{ AutoScalingGroupName: name, DesiredCapacity: desired, HonorCooldown: false },
    });
    await this.#deps.api.ask('SetDesiredCapacity', (abortSignal) => client.send(command, { abortSignal }));
  }
}

function ownGroup(group: Nodegroup, key: string): Nodegroup {
  if (group.tags?.[TAG.pool] === key) return group;
  throw notOurs(`the node group ${group.nodegroupName ?? ''}`, { name: TAG.pool, value: key });
}

const scalingGroupOf = (group: Nodegroup): string | null => group.resources?.autoScalingGroups?.[0]?.name ?? null;

function toGroup(name: string, group: AutoScalingGroup): Group {
  // One that Auto Scaling is taking out already does not count: to take it out once more would shrink the group twice.
  const there = (group.Instances ?? []).filter(({ LifecycleState }) => /^(?:Pending|InService)/.test(LifecycleState ?? ''));
  return {
    name,
    desired: group.DesiredCapacity ?? 0,
    max: group.MaxSize ?? 0,
    instanceIds: there.flatMap(({ InstanceId }) => InstanceId ?? []),
    isFixed: (group.SuspendedProcesses ?? []).some(({ ProcessName }) => ProcessName === 'AZRebalance'),
  };
}

const machineTags = (key: string) => ({
  TagSpecifications: [
    { ResourceType: 'instance' as const, Tags: toTags(instanceTags(key)) },
    { ResourceType: 'volume' as const, Tags: toTags(instanceTags(key)) },
  ],
});

/** The settings of a pool as EKS is told them: `eksCluster`, `nodeRole`, `subnets`, `amiType`, `maxNodes`. */
function groupOf(pool: CloudPool): CreateNodegroupRequest & { readonly clusterName: string; readonly nodegroupName: string } {
  const [cluster, role, subnets] = [settingOf(pool, 'eksCluster'), settingOf(pool, 'nodeRole'), listOf(pool, 'subnets')];
  if (cluster === null || role === null || subnets.length === 0 || pool.instanceType === null)
    throw new AwsRefusal('MissingSetting', 'a node group needs `eksCluster`, `nodeRole`, `subnets` and an instance type', null);
  const amiType = settingOf(pool, 'amiType');
  return {
    ...{ clusterName: cluster, nodegroupName: nameOf(pool.key), nodeRole: role, subnets, instanceTypes: [pool.instanceType] },
    ...(amiType === null ? {} : { amiType: amiType as NonNullable<CreateNodegroupRequest['amiType']> }),
    scalingConfig: { minSize: 0, desiredSize: 0, maxSize: Number(settingOf(pool, 'maxNodes') ?? MAX_NODES) },
    capacityType: pool.capacityType === 'spot' ? 'SPOT' : 'ON_DEMAND',
    labels: { ...pool.labels },
    tags: instanceTags(pool.key),
  };
}
