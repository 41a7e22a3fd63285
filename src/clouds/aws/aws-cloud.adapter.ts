import type { Clock } from '../../kernel/clock.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Bill, BillSource } from '../bill.port.ts';
import type { CheckFinding, CloudCheck } from '../cloud-check.port.ts';
import {
  CloudUnknown,
  type CloudFence,
  type CloudInterruption,
  type CloudPool,
  type CloudPoolState,
  type CloudProvider,
  type CloudResult,
} from '../cloud-provider.port.ts';
import { FocusBill } from '../focus-bill.adapter.ts';
import type { OfferingListing, PriceReading } from '../price-feed.port.ts';
import { AwsApi, type Deadline } from './aws-api.adapter.ts';
import { CostExplorerBill } from './aws-bill.adapter.ts';
import { AwsCheck } from './aws-check.adapter.ts';
import { AwsRefusal } from './aws-errors.ts';
import { AwsMachines } from './aws-machines.adapter.ts';
import { AwsNotices } from './aws-notices.adapter.ts';
import { AwsOfferings } from './aws-offerings.adapter.ts';
import type { Wish } from './aws-pool-deps.adapter.ts';
import { AwsPools } from './aws-pools.adapter.ts';
import { AwsPrices } from './aws-prices.adapter.ts';
import type { AwsSettings } from './aws-settings.adapter.ts';
import { SpotAdvisor } from './spot-advisor.adapter.ts';

export interface AwsCloudOptions {
  /** As pools name it. */
  readonly name: string;
  readonly settings: AwsSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of each request; default: `deadlineMs` by the clock of the machine. */
  readonly deadline?: Deadline;
}

/** In FOCUS exports, by the writer of the export. */
const PROVIDERS = ['AWS', 'Amazon Web Services'];

/** An account of AWS: machines in EC2 or node groups of EKS, its prices, its bills. */
export class AwsCloud implements CloudProvider, CloudCheck {
  readonly name: string;
  readonly #pools: AwsPools;
  readonly #notices: AwsNotices;
  readonly #offerings: AwsOfferings;
  readonly #prices: AwsPrices;
  readonly #bill: BillSource;
  readonly #check: AwsCheck;

  constructor({ name, settings, clock, logger, deadline }: AwsCloudOptions) {
    this.name = name;
    const api = new AwsApi(settings, { use: 'pools', deadline });
    const machines = new AwsMachines(api);
    this.#pools = new AwsPools({ api, machines, regions: settings.regions, clock });
    this.#notices = new AwsNotices({ api, machines, queues: settings.notices, clock, logger });
    const readings = new AwsApi(settings, { use: 'readings', deadline });
    const { spotAdvisorUrl: url, deadlineMs, bill } = settings;
    this.#offerings = new AwsOfferings(readings, url === null ? null : new SpotAdvisor({ url, deadlineMs, deadline }));
    this.#prices = new AwsPrices({ api: readings, offerings: this.#offerings, clock });
    this.#bill = bill.from === 'focus' ? new FocusBill({ ...bill, providers: PROVIDERS }) : new CostExplorerBill(readings);
    this.#check = new AwsCheck(readings, settings);
  }

  ensurePool(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    return this.#pools.ensure(pool, fence);
  }

  scalePool(key: string, wish: Wish, fence: CloudFence): Promise<CloudResult> {
    return this.#pools.scale(key, wish, fence);
  }

  outOfReach(pool: Pick<CloudPool, 'region'>): string | null {
    return this.#pools.outOfReach(pool);
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

  listOfferings(regions: readonly string[]): Promise<OfferingListing> {
    return read(() => this.#offerings.list(regions));
  }

  observePrices(regions: readonly string[]): Promise<PriceReading> {
    return read(() => this.#prices.observe(regions));
  }

  fetchBill(from: Instant, to: Instant): Promise<Bill> {
    return read(() => this.#bill.fetchBill(from, to));
  }

  check(): Promise<readonly CheckFinding[]> {
    return this.#check.check();
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
