import type { Filter, Instance } from '@aws-sdk/client-ec2';
import { CloudUnknown, type CloudNode, type CloudNodePhase } from '../cloud-provider.port.ts';
import type { AwsApi } from './aws-api.adapter.ts';
import { AwsRefusal } from './aws-errors.ts';
import { readNotice, type OpenNotice } from './open-notice.ts';
import { TAG, tagsOf, toTags } from './pool-tags.ts';

/** Instances per page. Higher: EC2 refuses; lower: more requests. */
const PAGE = 1_000;
/** Values that a filter may have. */
const MAX_FILTER_VALUES = 200;
/** Machines that one request may give back. Higher: one that EC2 refuses holds up more; lower: more requests. */
const MAX_TERMINATED = 500;

/** A machine as EC2 shows it. */
export interface Machine extends CloudNode {
  /** Null = of no pool of ours. */
  readonly pool: string | null;
  /** Of its pool; 0 = not asked for by batches. */
  readonly batch: number;
  readonly notice: OpenNotice | null;
  /** A machine that was stopped costs its disks until it is terminated. */
  readonly isStopped: boolean;
}

const PHASES: Readonly<Record<string, CloudNodePhase>> = {
  pending: 'starting',
  running: 'running',
  'shutting-down': 'stopping',
  stopping: 'stopping',
  stopped: 'stopping',
  terminated: 'gone',
};

export const isThere = ({ phase }: CloudNode): boolean => phase === 'starting' || phase === 'running';

/** EC2 instances by tag and id. Those that are gone show for about an hour, as EC2 keeps them. */
export class AwsMachines {
  readonly #api: AwsApi;

  constructor(api: AwsApi) {
    this.#api = api;
  }

  async ofPool(region: string, key: string): Promise<Machine[]> {
    const found = await this.#describe(region, [{ Name: `tag:${TAG.pool}`, Values: [key] }]);
    // EC2 reads stars and question marks in a filter; a pool's key is meant as it is.
    return found.filter(({ pool }) => pool === key);
  }

  /** Machines of pools among those; one that does not show is not in the answer. */
  async byId(region: string, instanceIds: readonly string[]): Promise<Machine[]> {
    const found: Machine[] = [];
    for (let at = 0; at < instanceIds.length; at += MAX_FILTER_VALUES)
      found.push(
        ...(await this.#describe(region, [
          { Name: 'instance-id', Values: instanceIds.slice(at, at + MAX_FILTER_VALUES) },
          { Name: 'tag-key', Values: [TAG.pool] },
        ])),
      );
    return found;
  }

  async withNotice(region: string): Promise<Machine[]> {
    const found = await this.#describe(region, [
      { Name: 'tag-key', Values: [TAG.notice] },
      { Name: 'instance-state-name', Values: ['pending', 'running', 'shutting-down', 'stopping'] },
    ]);
    return found.filter(({ pool, notice }) => pool !== null && notice !== null);
  }

  async tag(region: string, ids: readonly string[], tags: Readonly<Record<string, string>>): Promise<void> {
    const { sdk, client } = await this.#api.open('ec2', region);
    const command = new sdk.CreateTagsCommand({ Resources: [...ids], Tags: toTags(tags) });
    await this.#api.ask('CreateTags', (abortSignal) => client.send(command, { abortSignal }));
  }

  /** Gives machines back that EC2 showed. */
  async terminate(region: string, ids: readonly string[]): Promise<void> {
    const { sdk, client } = await this.#api.open('ec2', region);
    for (let at = 0; at < ids.length; at += MAX_TERMINATED) {
      const command = new sdk.TerminateInstancesCommand({ InstanceIds: ids.slice(at, at + MAX_TERMINATED) });
      try {
        await this.#api.ask('TerminateInstances', (abortSignal) => client.send(command, { abortSignal }));
      } catch (error) {
        if (!(error instanceof AwsRefusal) || error.code !== 'InvalidInstanceID.NotFound') throw error;
        throw new CloudUnknown('AWS: one of the machines to give back does not show yet, or not any more', { cause: error });
      }
    }
  }

  async #describe(region: string, filters: Filter[]): Promise<Machine[]> {
    const { sdk, client } = await this.#api.open('ec2', region);
    const instances = await this.#api.pages('DescribeInstances', async (next, abortSignal) => {
      const command = new sdk.DescribeInstancesCommand({ Filters: filters, MaxResults: PAGE, NextToken: next });
      const { Reservations = [], NextToken } = await client.send(command, { abortSignal });
      return { items: Reservations.flatMap(({ Instances = [] }) => Instances), next: NextToken };
    });
    return byId(instances.flatMap(toMachine));
  }
}

/** One that EC2 shows twice, on two pages or in two states, is one machine: the later state holds. */
function byId(machines: readonly Machine[]): Machine[] {
  const latest = new Map<string, Machine>();
  for (const machine of machines) {
    const known = latest.get(machine.instanceId);
    if (!known || ORDER.indexOf(machine.phase) > ORDER.indexOf(known.phase)) latest.set(machine.instanceId, machine);
  }
  return [...latest.values()].sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1));
}

const ORDER: readonly CloudNodePhase[] = ['starting', 'running', 'stopping', 'gone'];

function toMachine(instance: Instance): Machine[] {
  const { InstanceId, State, PrivateDnsName } = instance;
  if (InstanceId === undefined) return [];
  const tags = tagsOf(instance.Tags);
  const state = State?.Name ?? 'pending';
  const phase = PHASES[state] ?? 'starting';
  return [
    {
      ...{ instanceId: InstanceId, nodeName: PrivateDnsName || null, phase, since: sinceOf(instance, phase) },
      pool: tags.get(TAG.pool) ?? null,
      batch: Number(tags.get(TAG.batch) ?? 0) || 0,
      notice: readNotice(tags.get(TAG.notice)),
      isStopped: state === 'stopped',
    },
  ];
}

/** EC2 says when a machine was launched and, in words, when it went. */
function sinceOf({ LaunchTime, StateTransitionReason }: Instance, phase: CloudNodePhase): number {
  const launchedAt = LaunchTime?.getTime() ?? 0;
  return phase === 'stopping' || phase === 'gone' ? (timeIn(StateTransitionReason) ?? launchedAt) : launchedAt;
}

/** `User initiated (2026-01-31 10:20:30 GMT)` */
function timeIn(reason: string | undefined): number | null {
  const [, date, time] = /\((\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) (?:GMT|UTC)\)/.exec(reason ?? '') ?? [];
  const at = Date.parse(`${date}T${time}Z`);
  return Number.isSafeInteger(at) ? at : null;
}
