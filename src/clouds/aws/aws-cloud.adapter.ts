import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';
import {
  CloudUnknown,
  type CloudFence,
  type CloudInterruption,
  type CloudPool,
  type CloudPoolState,
  type CloudResult,
  type MachineProvider,
} from '../cloud-provider.port.ts';
import { AwsApi } from './aws-api.adapter.ts';
import { AwsRefusal } from './aws-errors.ts';
import { AwsMachines } from './aws-machines.adapter.ts';
import { AwsNotices } from './aws-notices.adapter.ts';
import type { Wish } from './aws-pool-deps.adapter.ts';
import { AwsPools } from './aws-pools.adapter.ts';
import type { AwsSettings } from './aws-settings.adapter.ts';

export interface AwsCloudOptions {
  /** As pools name it. */
  readonly name: string;
  readonly settings: AwsSettings;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** An account of AWS: machines in EC2 or node groups of EKS. */
export class AwsCloud implements MachineProvider {
  readonly name: string;
  readonly #pools: AwsPools;
  readonly #notices: AwsNotices;

  constructor({ name, settings, clock, logger }: AwsCloudOptions) {
    this.name = name;
    const api = new AwsApi(settings, 'pools');
    const machines = new AwsMachines(api);
    this.#pools = new AwsPools({ api, machines, regions: settings.regions, clock });
    this.#notices = new AwsNotices({ api, machines, queues: settings.notices, clock, logger });
  }

  ensurePool(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    return this.#pools.ensure(pool, fence);
  }

  scalePool(key: string, wish: Wish, fence: CloudFence): Promise<CloudResult> {
    return this.#pools.scale(key, wish, fence);
  }

  deletePool(key: string, fence: CloudFence): Promise<CloudResult> {
    return this.#pools.remove(key, fence);
  }

  observeNodes(key: string): Promise<CloudPoolState | null> {
    return read(() => this.#pools.observe(key));
  }

  interruptions(): Promise<readonly CloudInterruption[]> {
    return read(() => this.#notices.open());
  }
}

/** Who may not look, or asks wrongly, knows nothing. */
async function read<T>(look: () => Promise<T>): Promise<T> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof AwsRefusal) throw new CloudUnknown(`AWS says: ${error.code}: ${error.message}`, { cause: error });
    throw error;
  }
}
