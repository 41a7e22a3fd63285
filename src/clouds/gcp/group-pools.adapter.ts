import { z } from 'zod';
import { CloudUnknown, type CloudFence, type CloudPool } from '../cloud-provider.port.ts';
import { machineIn, nodeLabels, type AttachedGpus } from './attached-gpus.ts';
import type { GcpApi } from './gcp-api.adapter.ts';
import {
  bareRegion,
  isOf,
  lastOf,
  machineNames,
  MARK,
  nameOf,
  ownerMarks,
  pathOf,
  settingOf,
  templateNameOf,
  type GcpPool,
  type Marks,
} from './gcp-pool.ts';
import type { GcpPools, PoolChange } from './gcp-pools.port.ts';
import type { Group, InstanceGroups } from './instance-groups.adapter.ts';

const Listed = z.object({
  items: z
    .record(
      z.string(),
      z.object({
        instanceGroupManagers: z.array(z.object({ selfLink: z.string() })).default([]),
        warning: z.object({ code: z.string() }).optional(),
      }),
    )
    .default({}),
  nextPageToken: z.string().optional(),
});

/** Managed instance groups of our own: machines that join a cluster by a start-up script. */
export class GroupPools implements GcpPools {
  readonly kind = 'instance-group';
  readonly #api: GcpApi;
  readonly #groups: InstanceGroups;
  /** Where a group was found last. */
  readonly #known = new Map<string, string>();

  constructor(api: GcpApi, groups: InstanceGroups) {
    this.#api = api;
    this.#groups = groups;
  }

  async find(key: string): Promise<GcpPool | null> {
    const known = this.#known.get(key);
    const groups = await Promise.all((known ? [known] : await this.#locate(key)).map((path) => this.#groups.at(path)));
    const there = groups.flatMap((group) => (group ? [poolOf(group)] : []));
    const own = there.find((one) => isOf(one, key));
    if (own) this.#known.set(key, own.path);
    else this.#known.delete(key);
    return own ?? there[0] ?? null;
  }

  async create(pool: CloudPool, marks: Marks): Promise<PoolChange> {
    const problem = problemWith(pool);
    if (problem !== null) return { outcome: 'refused', reason: 'INVALID', message: problem, retryAfterMs: null };
    const template = await this.#makeTemplate(pool);
    if (typeof template !== 'string') return template;
    const name = nameOf(pool.key);
    const path = `${this.#api.project}/${placeOf(pool)}/instanceGroupManagers/${name}`;
    const body = {
      ...{ name, baseInstanceName: name, instanceTemplate: template, targetSize: 0, description: pool.key },
      // Machines that run stay as they are; one that Google takes is not made again under its name.
      updatePolicy: { type: 'OPPORTUNISTIC', ...(pool.zone ? {} : { instanceRedistributionType: 'NONE' }) },
      instanceLifecyclePolicy: { defaultActionOnFailure: 'DO_NOTHING' },
      allInstancesConfig: { properties: { metadata: { ...marks, [MARK.named]: '0' } } },
      ...(pool.zone ? {} : { distributionPolicy: { targetShape: 'ANY' } }),
    };
    const outcome = await this.#groups.create(path, body);
    if (typeof outcome === 'string') this.#known.set(pool.key, path);
    return outcome;
  }

  async describe({ path }: GcpPool, pool: CloudPool, marks: Marks): Promise<PoolChange> {
    const template = await this.#makeTemplate(pool);
    if (typeof template !== 'string') return template;
    return this.#groups.patch(await this.#group(path), { marks, instanceTemplate: template });
  }

  async raise({ path }: GcpPool, { epoch }: CloudFence): Promise<PoolChange> {
    return this.#groups.patch(await this.#group(path), { marks: { [MARK.epoch]: String(epoch) } });
  }

  /** First the names are taken, on proof that nobody else did; then machines of these names are asked for. */
  async grow({ path }: GcpPool, { more }: { readonly more: number }, { epoch }: CloudFence): Promise<PoolChange> {
    const group = await this.#group(path);
    const named = Number(group.allInstancesConfig?.properties?.metadata?.[MARK.named] ?? 0);
    const marks = { [MARK.epoch]: String(epoch), [MARK.named]: String(named + more) };
    const taken = await this.#groups.patch(group, { marks });
    if (taken === 'going') throw new CloudUnknown(`${path}: names for ${more} machines are not taken yet`);
    if (typeof taken !== 'string') return taken;
    return this.#groups.add(group, machineNames({ name: lastOf(path), groupId: group.id, named, count: more }));
  }

  async remove({ path }: GcpPool): Promise<PoolChange> {
    return this.#groups.remove(path);
  }

  async #group(path: string): Promise<Group> {
    const group = await this.#groups.at(path);
    if (!group) throw new CloudUnknown(`${path} went away meanwhile`);
    return group;
  }

  /** Where in the project its name is; a part of it that cannot be asked leaves all unknown. */
  async #locate(key: string): Promise<string[]> {
    const path = `${this.#api.project}/aggregated/instanceGroupManagers`;
    const pages = await this.#api.pages({ path, query: { filter: `name = ${nameOf(key)}`, maxResults: '500' } }, Listed);
    const places = pages.flatMap(({ items }) => Object.entries(items));
    const silent = places.find(([, { warning }]) => warning && warning.code !== 'NO_RESULTS_ON_PAGE');
    if (silent) throw new CloudUnknown(`${silent[0]} cannot be asked for groups: ${silent[1].warning?.code ?? ''}`);
    return places.flatMap(([, { instanceGroupManagers }]) => instanceGroupManagers.map(({ selfLink }) => pathOf(selfLink)));
  }

  /** Its path; templates never change, so that one of this name is the one. */
  async #makeTemplate(pool: CloudPool): Promise<string | Extract<PoolChange, object>> {
    const name = templateNameOf(pool);
    const path = `${this.#api.project}/global/instanceTemplates`;
    const body = { name, properties: propertiesOf(pool) };
    const outcome = await this.#api.change('compute', { method: 'POST', path, body }, `${this.#api.project}/global/operations`);
    return typeof outcome === 'string' ? `${path.slice(1)}/${name}` : outcome;
  }
}

const placeOf = ({ zone, region }: CloudPool): string => (zone ? `zones/${zone}` : `regions/${bareRegion(region ?? '')}`);

const poolOf = ({ path, fingerprint, allInstancesConfig }: Group): GcpPool => ({
  ...{ kind: 'instance-group', path, groups: [path], state: 'settled', etag: fingerprint },
  marks: allInstancesConfig?.properties?.metadata ?? {},
});

function problemWith(pool: CloudPool): string | null {
  if (!pool.instanceType) return 'the pool has no instance type';
  if (!pool.zone && !pool.region) return 'the pool has no zone and no region';
  return settingOf(pool, 'image') === null ? 'the pool has no setting image' : null;
}

function propertiesOf(pool: CloudPool): Record<string, unknown> {
  const [disk, subnetwork, userData, account] = ['diskGib', 'subnet', 'userData', 'serviceAccount'].map((name) =>
    settingOf(pool, name),
  );
  const initializeParams = { sourceImage: settingOf(pool, 'image'), ...(disk ? { diskSizeGb: disk } : {}) };
  const { machineType, gpus } = machineIn(pool.instanceType ?? '');
  const script = userData?.replaceAll('{labels}', labelsText(pool));
  return {
    machineType,
    ...(gpus ? { guestAccelerators: [{ acceleratorType: gpus.type, acceleratorCount: gpus.count }] } : {}),
    labels: ownerMarks(pool.key),
    disks: [{ boot: true, autoDelete: true, initializeParams }],
    networkInterfaces: [subnetwork ? { subnetwork } : { network: 'global/networks/default' }],
    ...(script ? { metadata: { items: [{ key: 'startup-script', value: script }] } } : {}),
    ...(account ? { serviceAccounts: [{ email: account, scopes: ['https://www.googleapis.com/auth/cloud-platform'] }] } : {}),
    ...schedulingOf(pool, gpus),
  };
}

function schedulingOf({ capacityType }: CloudPool, gpus: AttachedGpus | null) {
  if (capacityType === 'spot') return { scheduling: SPOT };
  // Accelerators do not move with a machine.
  return gpus ? { scheduling: { provisioningModel: 'STANDARD', onHostMaintenance: 'TERMINATE' } } : {};
}

const SPOT = {
  provisioningModel: 'SPOT',
  instanceTerminationAction: 'DELETE',
  automaticRestart: false,
  onHostMaintenance: 'TERMINATE',
};

const labelsText = (pool: CloudPool): string =>
  Object.entries(nodeLabels(pool))
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(',');
