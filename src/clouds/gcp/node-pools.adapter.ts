import { z } from 'zod';
import type { CloudFence, CloudPool } from '../cloud-provider.port.ts';
import { machineIn, nameWith, nodeLabels } from './attached-gpus.ts';
import type { GcpApi } from './gcp-api.adapter.ts';
import { isOf, MARK, nameOf, pathOf, settingOf, type GcpPool, type Marks } from './gcp-pool.ts';
import type { GcpPools, PoolChange } from './gcp-pools.port.ts';
import type { GcpSettings } from './gcp-settings.adapter.ts';

type Cluster = GcpSettings['clusters'][number];

const NodePool = z.object({
  status: z.string(),
  etag: z.string().default(''),
  instanceGroupUrls: z.array(z.string()).default([]),
  config: z.object({
    machineType: z.string().optional(),
    accelerators: z
      // int64 is text in JSON.
      .array(z.object({ acceleratorType: z.string(), acceleratorCount: z.coerce.number().int() }))
      .default([]),
    resourceLabels: z.record(z.string(), z.string()).optional(),
  }),
});

const STATES: Readonly<Record<string, GcpPool['state']>> = {
  ...{ RUNNING: 'settled', RUNNING_WITH_ERROR: 'settled', ERROR: 'settled', STOPPING: 'deleting' },
};

/** Node pools of GKE: machines that join by themselves. */
export class NodePools implements GcpPools {
  readonly kind = 'node-pool';
  readonly #api: GcpApi;
  readonly #clusters: readonly Cluster[];

  constructor(api: GcpApi, { clusters }: GcpSettings) {
    this.#api = api;
    this.#clusters = clusters;
  }

  async find(key: string): Promise<GcpPool | null> {
    const found = await Promise.all(
      this.#clusters.map((cluster) => this.#at(`${this.#pathOf(cluster)}/nodePools/${nameOf(key)}`)),
    );
    const there = found.filter((one) => one !== null);
    return there.find((one) => isOf(one, key)) ?? there[0] ?? null;
  }

  /** Groups of machines are found wherever they are in the project. */
  outOfReach(pool: Pick<CloudPool, 'config'>): string | null {
    const wanted = settingOf(pool, 'cluster');
    return wanted === null || this.#clusters.some(({ name }) => name === wanted)
      ? null
      : `the configuration names no cluster ${wanted}`;
  }

  async create(pool: CloudPool, marks: Marks): Promise<PoolChange> {
    const cluster = this.#clusters.find(({ name }) => name === settingOf(pool, 'cluster'));
    const problem = this.outOfReach(pool) ?? problemWith(pool);
    if (problem !== null || !cluster) return invalid(problem ?? '');
    const nodePool = {
      ...{ name: nameOf(pool.key), initialNodeCount: 0, autoscaling: { enabled: false } },
      // Sizes of GKE are per zone.
      locations: [pool.zone],
      config: configOf(pool, marks),
    };
    const path = `${this.#pathOf(cluster)}/nodePools`;
    return this.#api.change('container', { method: 'POST', path, body: { nodePool } }, this.#operationsOf(path));
  }

  async describe(found: GcpPool, pool: CloudPool, marks: Marks): Promise<PoolChange> {
    if (found.marks['machineType'] !== pool.instanceType)
      return invalid('another instance type would make every machine anew: give the pool another name');
    return this.#update(found, { marks, labels: { labels: nodeLabels(pool) } });
  }

  raise(found: GcpPool, { epoch }: CloudFence): Promise<PoolChange> {
    return this.#update(found, { marks: { [MARK.epoch]: String(epoch) } });
  }

  grow(found: GcpPool, { desired }: { readonly desired: number }): Promise<PoolChange> {
    const call = { method: 'POST', path: `${found.path}:setSize`, body: { nodeCount: desired } } as const;
    return this.#api.change('container', call, this.#operationsOf(found.path));
  }

  remove({ path }: GcpPool): Promise<PoolChange> {
    return this.#api.change('container', { method: 'DELETE', path }, this.#operationsOf(path));
  }

  #update(
    { path, etag, marks: { machineType: _, ...before } }: GcpPool,
    change: { readonly marks: Marks } & Readonly<Record<string, unknown>>,
  ): Promise<PoolChange> {
    const { marks, ...more } = change;
    const body = { ...more, resourceLabels: { labels: { ...before, ...marks } }, etag };
    return this.#api.change('container', { method: 'PUT', path, body }, this.#operationsOf(path));
  }

  async #at(path: string): Promise<GcpPool | null> {
    const found = await this.#api.client('container').askIfThere({ path }, NodePool);
    if (!found) return null;
    const { status, etag, instanceGroupUrls, config } = found;
    return {
      ...{ kind: 'node-pool', path, etag, state: STATES[status] ?? 'changing', groups: instanceGroupUrls.map(pathOf) },
      marks: { ...config.resourceLabels, machineType: instanceTypeOf(config) },
    };
  }

  #pathOf({ name, location }: Cluster): string {
    return `${this.#api.project}/locations/${location}/clusters/${name}`;
  }

  #operationsOf(path: string): string {
    return path.replace(/\/clusters\/.*$/, '/operations');
  }
}

function instanceTypeOf({ machineType = '', accelerators: [first] }: z.infer<typeof NodePool>['config']): string {
  return nameWith(machineType, first ? { type: first.acceleratorType, count: first.acceleratorCount } : null);
}

const invalid = (message: string): PoolChange => ({ outcome: 'refused', reason: 'INVALID', message, retryAfterMs: null });

function problemWith(pool: CloudPool): string | null {
  if (!pool.instanceType) return 'the pool has no instance type';
  return pool.zone ? null : 'the pool has no zone, and sizes of GKE are per zone';
}

function configOf(pool: CloudPool, marks: Marks): Record<string, unknown> {
  const { machineType, gpus } = machineIn(pool.instanceType ?? '');
  const [disk, account] = ['diskGib', 'serviceAccount'].map((name) => settingOf(pool, name));
  return {
    ...{ machineType, labels: nodeLabels(pool), resourceLabels: marks },
    ...(gpus ? { accelerators: [{ acceleratorType: gpus.type, acceleratorCount: String(gpus.count) }] } : {}),
    ...(pool.capacityType === 'spot' ? { spot: true } : {}),
    ...(disk ? { diskSizeGb: Number(disk) } : {}),
    ...(account ? { serviceAccount: account } : {}),
  };
}
