import { z } from 'zod';
import type { Instant } from '../../kernel/instant.ts';
import type { CloudPool } from '../cloud-provider.port.ts';
import type { ArmClient } from './arm-client.adapter.ts';
import { settingOf, stateOf, zonesOf, type AzureMachine, type AzurePool } from './azure-pool.ts';
import type { AzurePools, PoolChange } from './azure-pools.port.ts';
import type { AzureSettings } from './azure-settings.adapter.ts';
import { agentPoolNames, machineIdOf, TAG, type PoolNames, type Tags } from './pool-names.ts';
import { listMachines } from './scale-set-machines.adapter.ts';

const VERSION = { 'api-version': '2025-01-01' };

const AgentPool = z.object({
  id: z.string(),
  properties: z
    .object({
      provisioningState: z.string(),
      count: z.number().int().min(0).default(0),
      eTag: z.string().optional(),
      tags: z.record(z.string(), z.string()).nullish(),
    })
    .loose(),
});
const Machine = z.object({ name: z.string(), properties: z.object({ resourceId: z.string() }) });

/** What AKS says and does not want back. */
const READ_ONLY = ['provisioningState', 'eTag', 'powerState', 'currentOrchestratorVersion', 'nodeImageVersion'];

/** Node pools of AKS: machines that join by themselves. */
export class AgentPools implements AzurePools {
  readonly kind = 'agent-pool';
  readonly #arm: ArmClient;
  readonly #clusters: AzureSettings['clusters'];

  constructor(arm: ArmClient, { clusters }: AzureSettings) {
    this.#arm = arm;
    this.#clusters = clusters;
  }

  async all(): Promise<AzurePool[]> {
    const lists = this.#clusters.map((one) => this.#arm.list(`${this.#pathOf(one)}/agentPools`, VERSION, AgentPool));
    return (await Promise.all(lists))
      .flat()
      .map(poolOf)
      .filter(({ tags }) => TAG.pool in tags);
  }

  async at(path: string): Promise<AzurePool | null> {
    const found = await this.#arm.rest.askIfThere({ path, query: VERSION }, AgentPool);
    return found && poolOf(found);
  }

  outOfReach(pool: Pick<CloudPool, 'config'>): string | null {
    return this.#clusterOf(pool) ? null : `the configuration names no cluster ${settingOf(pool, 'cluster') ?? ''}`;
  }

  pathsFor(pool: CloudPool, now: Instant): PoolNames | string {
    const cluster = this.#clusterOf(pool);
    if (!cluster) return this.outOfReach(pool) ?? '';
    if (!pool.instanceType) return 'the pool has no instance type';
    const names = agentPoolNames(pool.key, now);
    const path = `${this.#pathOf(cluster)}/agentPools`;
    return { now: `${path}/${names.now}`, before: `${path}/${names.before}` };
  }

  create(pool: CloudPool, path: string, tags: Tags): Promise<PoolChange> {
    const properties = { ...propertiesOf(pool), ...FIXED, vmSize: pool.instanceType, count: 0, tags };
    return this.#arm.change({
      ...{ method: 'PUT', path, query: VERSION, body: { properties }, headers: { 'if-none-match': '*' } },
    });
  }

  describe(found: AzurePool, pool: CloudPool, tags: Tags): Promise<PoolChange> {
    return this.#put(found, { ...propertiesOf(pool), vmSize: pool.instanceType, tags: { ...found.tags, ...tags } });
  }

  raise(found: AzurePool, tags: Tags): Promise<PoolChange> {
    return this.#put(found, { tags: { ...found.tags, ...tags } });
  }

  resize(found: AzurePool, count: number, tags: Tags): Promise<PoolChange> {
    return this.#put(found, { count, tags: { ...found.tags, ...tags } });
  }

  release({ path }: AzurePool, machines: readonly AzureMachine[]): Promise<PoolChange> {
    const body = { machineNames: machines.map(({ ref }) => ref) };
    return this.#arm.change({ method: 'POST', path: `${path}/deleteMachines`, query: VERSION, body });
  }

  remove({ path }: AzurePool): Promise<PoolChange> {
    return this.#arm.change({ method: 'DELETE', path, query: VERSION });
  }

  async machines({ path }: AzurePool): Promise<AzureMachine[]> {
    const members = await this.#arm.list(`${path}/machines`, VERSION, Machine);
    const [first] = members;
    const scaleSet = first && /^(.*)\/virtualMachines\/[^/]+$/i.exec(first.properties.resourceId)?.[1];
    const lives = new Map((scaleSet ? await listMachines(this.#arm, scaleSet) : []).map((one) => [one.instanceId, one]));
    const byId = new Map(members.map((one) => [machineIdOf(one.properties.resourceId) ?? one.name, one.name]));
    return [...byId].map(([instanceId, name]) => {
      const life = lives.get(instanceId) ?? { phase: 'starting', since: null, isBroken: false };
      return { ...life, instanceId, ref: name, nodeName: name.toLowerCase() };
    });
  }

  #clusterOf(pool: Pick<CloudPool, 'config'>): AzureSettings['clusters'][number] | undefined {
    return this.#clusters.find(({ name }) => name === settingOf(pool, 'cluster'));
  }

  #pathOf({ resourceGroup, name }: AzureSettings['clusters'][number]): string {
    return `${this.#arm.subscription}/resourceGroups/${resourceGroup}/providers/Microsoft.ContainerService/managedClusters/${name}`;
  }

  #put({ path, body, etag }: AzurePool, change: Readonly<Record<string, unknown>>): Promise<PoolChange> {
    const kept = Object.entries(body).filter(([name]) => !READ_ONLY.includes(name));
    const properties = { ...Object.fromEntries(kept), ...change };
    const headers: Record<string, string> = etag === null ? {} : { 'if-match': etag };
    return this.#arm.change({ method: 'PUT', path, query: VERSION, body: { properties }, headers });
  }
}

const FIXED = { mode: 'User', type: 'VirtualMachineScaleSets', osType: 'Linux', enableAutoScaling: false } as const;

const poolOf = ({ id, properties }: z.infer<typeof AgentPool>): AzurePool => ({
  kind: 'agent-pool',
  path: id,
  etag: properties.eTag ?? null,
  state: stateOf(properties.provisioningState),
  count: properties.count,
  tags: properties.tags ?? {},
  body: properties,
});

function propertiesOf(pool: CloudPool): Record<string, unknown> {
  const zones = zonesOf(pool);
  const [disk, subnet, taints] = ['diskGib', 'subnet', 'taints'].map((name) => settingOf(pool, name));
  return {
    nodeLabels: pool.labels,
    ...(pool.capacityType === 'spot' ? { scaleSetPriority: 'Spot', scaleSetEvictionPolicy: 'Delete', spotMaxPrice: -1 } : {}),
    ...(zones.length > 0 ? { availabilityZones: zones } : {}),
    ...(disk ? { osDiskSizeGB: Number(disk) } : {}),
    ...(subnet ? { vnetSubnetID: subnet } : {}),
    ...(taints ? { nodeTaints: taints.split(',') } : {}),
  };
}
