import type { Clock } from '../../kernel/clock.ts';
import type { CloudFence, CloudPool, CloudPoolState, CloudResult } from '../cloud-provider.port.ts';
import { refusedIfLeftAlone } from '../left-alone.ts';
import type { AwsApi } from './aws-api.adapter.ts';
import { AwsRefusal, resultOf } from './aws-errors.ts';
import { AwsInstancePools } from './aws-instance-pools.adapter.ts';
import { isThere, type AwsMachines } from './aws-machines.adapter.ts';
import { AwsNodeGroups } from './aws-node-groups.adapter.ts';
import type { Wish } from './aws-pool-deps.adapter.ts';
import { AwsPoolRecords, type PoolRecord } from './aws-pool-records.adapter.ts';
import { bareRegion, settingOf } from './pool-tags.ts';

export interface AwsPoolsDeps {
  readonly api: AwsApi;
  readonly machines: AwsMachines;
  readonly regions: readonly string[];
  readonly clock: Clock;
}

/**
 * The verbs of pools; a pool with the setting `eksCluster` is a node group, any other has plain instances.
 *
 * What is fenced: each verb reads the highest epoch from the pool's launch template and refuses a lower one. AWS has no compare-and-set there, so
 * a leader that is frozen between that look and its next request is not held up; what it asks for then is the batch or the number that the
 * later leader saw, and starts nothing twice. A pool that is not there has no epoch.
 */
export class AwsPools {
  readonly #records: AwsPoolRecords;
  readonly #machines: AwsMachines;
  readonly #instances: AwsInstancePools;
  readonly #groups: AwsNodeGroups;

  constructor({ api, machines, regions, clock }: AwsPoolsDeps) {
    this.#records = new AwsPoolRecords(api, regions);
    this.#machines = machines;
    const deps = { api, machines, records: this.#records, clock };
    this.#instances = new AwsInstancePools(deps);
    this.#groups = new AwsNodeGroups(deps);
  }

  ensure(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    return told(async () => {
      const region = bareRegion(pool.region ?? '');
      const problem = this.outOfReach(pool);
      if (problem !== null) throw new AwsRefusal('NoSuchRegion', problem, null);
      const record = await this.#records.find(pool.key);
      if (record && fence.epoch < record.epoch) return STALE;
      const isGroup = settingOf(pool, 'eksCluster') !== null;
      if (record && (record.region !== region || (record.nodeGroup !== null) !== isGroup))
        throw new AwsRefusal('PoolMoved', 'a pool keeps its region and its kind: make another one', null);
      return (isGroup ? this.#groups : this.#instances).ensure(pool, region, record, fence);
    });
  }

  outOfReach({ region }: Pick<CloudPool, 'region'>): string | null {
    const { regions } = this.#records;
    const name = bareRegion(region ?? '');
    return regions.includes(name) ? null : `pools may be in ${regions.join(', ')}; not in "${name}"`;
  }

  scale(key: string, wish: Wish, fence: CloudFence): Promise<CloudResult> {
    return told(async () => {
      const record = await this.#records.find(key);
      if (!record) return { outcome: 'refused', reason: 'NO_SUCH_POOL', message: `there is no pool ${key}`, retryAfterMs: null };
      if (fence.epoch < record.epoch) return STALE;
      return this.#kindOf(record).scale(record, wish, fence);
    });
  }

  remove(key: string, fence: CloudFence): Promise<CloudResult> {
    return told(async () => {
      const record = await this.#records.find(key);
      if (!record) return this.#sweep(key);
      if (fence.epoch < record.epoch) return STALE;
      await this.#records.raise(record, fence.epoch);
      return this.#kindOf(record).remove(record);
    });
  }

  async observe(key: string): Promise<CloudPoolState | null> {
    const record = await this.#records.find(key);
    return record && (await this.#kindOf(record).observe(record));
  }

  /** Machines whose pool is forgotten are given back, too. */
  async #sweep(key: string): Promise<CloudResult> {
    for (const region of this.#records.regions) {
      const left = (await this.#machines.ofPool(region, key)).filter((one) => isThere(one) || one.isStopped);
      const ids = left.map(({ instanceId }) => instanceId);
      if (ids.length > 0) await this.#machines.terminate(region, ids);
    }
    return { outcome: 'accepted' };
  }

  #kindOf({ nodeGroup }: PoolRecord): AwsInstancePools | AwsNodeGroups {
    return nodeGroup ? this.#groups : this.#instances;
  }
}

const STALE: CloudResult = { outcome: 'stale_epoch' };

const told = (act: () => Promise<CloudResult>): Promise<CloudResult> =>
  refusedIfLeftAlone(async () => {
    try {
      return await act();
    } catch (error) {
      if (error instanceof AwsRefusal) return resultOf(error);
      throw error;
    }
  });
