import type { RequestLaunchTemplateData } from '@aws-sdk/client-ec2';
import { digestOfJson } from '../../kernel/digest.ts';
import { CloudUnknown, type CloudFence, type CloudPool, type CloudPoolState, type CloudResult } from '../cloud-provider.port.ts';
import { nameMachines } from '../plan-scale.ts';
import { AwsRefusal } from './aws-errors.ts';
import { isThere, type Machine } from './aws-machines.adapter.ts';
import type { AwsPoolDeps, Wish } from './aws-pool-deps.adapter.ts';
import type { PoolRecord } from './aws-pool-records.adapter.ts';
import { batchText, clientTokenOf, instanceTags, labelsText, listOf, settingOf, TAG, toTags } from './pool-tags.ts';

/** By then EC2 shows whatever was asked for. Higher: a lost request holds up the next one longer; lower: EC2's slow days are misread. */
const SETTLED_MS = 300_000;

/** Machines that EC2 said it started; they may not show yet. */
interface Answered {
  readonly batch: number;
  readonly at: number;
  readonly ids: readonly string[];
}

/**
 * Pools of plain EC2 instances. Machines come in batches with numbers: number and pool make the client token, so that whoever asks
 * for a batch again, at once or after a crash, gets the machines that came the first time. A pool has as many machines as EC2 shows of
 * it, whoever asked for them: none is overlooked, and each is given back by its name.
 */
export class AwsInstancePools {
  readonly #deps: AwsPoolDeps;
  readonly #answered = new Map<string, Answered>();

  constructor(deps: AwsPoolDeps) {
    this.#deps = deps;
  }

  async ensure(pool: CloudPool, region: string, record: PoolRecord | null, { epoch }: CloudFence): Promise<CloudResult> {
    const { records } = this.#deps;
    const data = templateOf(pool);
    const description = digestOfJson({ ...pool, labels: { ...pool.labels }, config: { ...pool.config } });
    const tags = { [TAG.description]: description, [TAG.epoch]: String(epoch) };
    if (!record) await records.create({ region, key: pool.key, data, tags });
    else if (record.description !== description) {
      await records.describe(record, data);
      await records.tag(record, tags);
    } else await records.raise(record, epoch);
    return { outcome: 'accepted' };
  }

  async scale(record: PoolRecord, wish: Wish, { epoch }: CloudFence): Promise<CloudResult> {
    const machines = await this.#machines(record);
    const released = machines.filter((one) => wish.release.includes(one.instanceId) && (isThere(one) || one.isStopped));
    const left = machines.filter((one) => isThere(one) && !released.includes(one)).length;
    if (wish.desired < left) return nameMachines(left, wish.desired);
    // More first: where EC2 refuses them, nothing was changed.
    if (wish.desired > left) await this.#start(record, machines, { more: wish.desired - left, epoch });
    else await this.#deps.records.raise(record, epoch);
    if (released.length > 0)
      await this.#deps.machines.terminate(
        record.region,
        released.map(({ instanceId }) => instanceId),
      );
    return { outcome: 'accepted' };
  }

  async observe(record: PoolRecord): Promise<CloudPoolState> {
    const machines = await this.#machines(record);
    return { desired: machines.filter(isThere).length, nodes: machines.map(toNode) };
  }

  /** What was asked for last and not answered may come yet: until EC2 would show it, the pool is not forgotten. */
  async remove(record: PoolRecord): Promise<CloudResult> {
    const { machines: ec2, records, clock } = this.#deps;
    const machines = await this.#machines(record);
    const ids = machines.filter((one) => isThere(one) || one.isStopped).map(({ instanceId }) => instanceId);
    if (ids.length > 0) await ec2.terminate(record.region, ids);
    if (this.#isOpen(record, machines) && clock.now() - record.batch.askedAt < SETTLED_MS)
      throw new CloudUnknown(`AWS: machines of ${record.key} that were asked for may still come`);
    await records.remove(record);
    this.#answered.delete(record.templateId);
    return { outcome: 'accepted' };
  }

  async #machines(record: PoolRecord): Promise<Machine[]> {
    const shown = await this.#deps.machines.ofPool(record.region, record.key);
    const answered = this.#answered.get(record.templateId);
    if (!answered || this.#deps.clock.now() - answered.at > SETTLED_MS) return shown;
    const hidden = answered.ids.filter((id) => shown.every(({ instanceId }) => instanceId !== id));
    return [...shown, ...hidden.map((instanceId) => justStarted(instanceId, record.key, answered))];
  }

  async #start(
    record: PoolRecord,
    machines: readonly Machine[],
    { more, epoch }: { readonly more: number; readonly epoch: number },
  ): Promise<void> {
    const { clock, records } = this.#deps;
    const isOpen = this.#isOpen(record, machines);
    const last = Math.max(record.batch.number, ...machines.map(({ batch }) => batch));
    const batch = { number: isOpen ? last : last + 1, askedAt: isOpen ? record.batch.askedAt : clock.now() };
    if (isOpen) await records.raise(record, epoch);
    else await records.tag(record, { [TAG.batch]: batchText(batch), [TAG.epoch]: String(Math.max(epoch, record.epoch)) });
    try {
      const ids = await this.#run(record, batch.number, more);
      this.#answered.set(record.templateId, { batch: batch.number, at: clock.now(), ids });
    } catch (error) {
      if (!(error instanceof AwsRefusal)) throw error;
      // EC2 knows the batch with another count or description: it came. It will show; if it has long gone, its number is used up.
      const isKnown = error.code === 'IdempotentParameterMismatch';
      if (!isKnown || clock.now() - batch.askedAt > SETTLED_MS)
        this.#answered.set(record.templateId, { batch: batch.number, at: clock.now(), ids: [] });
      if (!isKnown) throw error;
      throw new CloudUnknown(`AWS: machines of ${record.key} that were asked for do not show yet`, { cause: error });
    }
  }

  /** The last batch was asked for, and nobody knows what came of it. */
  #isOpen({ templateId, batch }: PoolRecord, machines: readonly Machine[]): boolean {
    const isAnswered = this.#answered.get(templateId)?.batch === batch.number;
    return batch.number > 0 && !isAnswered && machines.every((machine) => machine.batch < batch.number);
  }

  /** As many as there are, at least one; which ones. */
  async #run({ region, templateId, version, key }: PoolRecord, batch: number, count: number): Promise<string[]> {
    const { sdk, client } = await this.#deps.api.open('ec2', region);
    const command = new sdk.RunInstancesCommand({
      LaunchTemplate: { LaunchTemplateId: templateId, Version: String(version) },
      ...{ MinCount: 1, MaxCount: count, ClientToken: clientTokenOf(templateId, batch) },
      TagSpecifications: [{ ResourceType: 'instance', Tags: toTags({ ...instanceTags(key), [TAG.batch]: String(batch) }) }],
    });
    const { Instances = [] } = await this.#deps.api.ask('RunInstances', (abortSignal) => client.send(command, { abortSignal }));
    const started = Instances.filter(({ State }) => State?.Name === 'pending' || State?.Name === 'running');
    return started.flatMap(({ InstanceId }) => InstanceId ?? []);
  }
}

const justStarted = (instanceId: string, pool: string, { batch, at }: Answered): Machine => ({
  ...{ instanceId, nodeName: null, phase: 'starting', since: at, pool, batch, notice: null, isStopped: false },
});

const toNode = ({ instanceId, nodeName, phase, since }: Machine): CloudPoolState['nodes'][number] => ({
  ...{ instanceId, nodeName, phase, since },
});

/** The settings of a pool as EC2 is told them: `image`, `subnet`, `securityGroups`, `instanceProfile`, `userData`, `diskGib`. */
function templateOf(pool: CloudPool): RequestLaunchTemplateData {
  const image = settingOf(pool, 'image');
  if (image === null) throw new AwsRefusal('MissingImage', 'the pool has no setting `image`', null);
  if (pool.instanceType === null) throw new AwsRefusal('MissingInstanceType', 'the pool has no instance type', null);
  const userData = pool.config['userData']?.replaceAll('{labels}', labelsText(pool));
  return {
    ImageId: image,
    InstanceType: pool.instanceType as NonNullable<RequestLaunchTemplateData['InstanceType']>,
    InstanceInitiatedShutdownBehavior: 'terminate',
    MetadataOptions: { HttpTokens: 'required' },
    TagSpecifications: [
      { ResourceType: 'instance', Tags: toTags(instanceTags(pool.key)) },
      { ResourceType: 'volume', Tags: toTags(instanceTags(pool.key)) },
    ],
    ...networkOf(pool),
    ...diskOf(pool),
    ...(userData === undefined ? {} : { UserData: Buffer.from(userData).toString('base64') }),
    ...profileOf(settingOf(pool, 'instanceProfile')),
    ...(pool.capacityType === 'spot'
      ? { InstanceMarketOptions: { MarketType: 'spot', SpotOptions: { SpotInstanceType: 'one-time' } } }
      : {}),
  };
}

function networkOf(pool: CloudPool): Partial<RequestLaunchTemplateData> {
  const subnet = settingOf(pool, 'subnet');
  const groups = listOf(pool, 'securityGroups');
  const named = groups.length > 0 ? groups : undefined;
  if (subnet !== null)
    return { NetworkInterfaces: [{ DeviceIndex: 0, SubnetId: subnet, Groups: named, DeleteOnTermination: true }] };
  return { SecurityGroupIds: named, ...(pool.zone === null ? {} : { Placement: { AvailabilityZone: pool.zone } }) };
}

function diskOf(pool: CloudPool): Partial<RequestLaunchTemplateData> {
  const gib = Number(settingOf(pool, 'diskGib'));
  if (!(gib > 0)) return {};
  const device = settingOf(pool, 'diskDevice') ?? '/dev/xvda';
  return {
    BlockDeviceMappings: [{ DeviceName: device, Ebs: { VolumeSize: gib, VolumeType: 'gp3', DeleteOnTermination: true } }],
  };
}

function profileOf(profile: string | null): Partial<RequestLaunchTemplateData> {
  if (profile === null) return {};
  return { IamInstanceProfile: profile.startsWith('arn:') ? { Arn: profile } : { Name: profile } };
}
