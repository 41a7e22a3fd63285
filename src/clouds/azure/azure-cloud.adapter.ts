import type { Instant } from '../../kernel/instant.ts';
import type { Bill, BillSource } from '../bill.port.ts';
import type { CheckFinding, CloudCheck } from '../cloud-check.port.ts';
import type { CloudProvider } from '../cloud-provider.port.ts';
import { FocusBill } from '../focus-bill.adapter.ts';
import type { OfferingListing, PriceReading } from '../price-feed.port.ts';
import { ArmClient } from './arm-client.adapter.ts';
import { AzureCheck } from './azure-check.adapter.ts';
import { AzureMachines, type AzureMachinesOptions } from './azure-machines.adapter.ts';
import { listOfferings } from './azure-offerings.adapter.ts';
import { AzureRetailPrices } from './azure-retail-prices.adapter.ts';
import { CostManagementBill } from './cost-management-bill.adapter.ts';
import { SpotNotices } from './spot-notices.adapter.ts';

/** In FOCUS exports. */
const PROVIDERS = ['Microsoft', 'Microsoft Azure', 'Azure'];

/** A subscription of Azure: machines in agent pools and scale sets, its prices, its bills. */
export class AzureCloud extends AzureMachines implements CloudProvider, CloudCheck {
  readonly #arm: ArmClient;
  readonly #prices: AzureRetailPrices;
  readonly #bill: BillSource;
  readonly #check: AzureCheck;

  constructor(options: AzureMachinesOptions, arm = new ArmClient(options)) {
    super(options, arm);
    const { settings, clock } = options;
    const limits = { timeoutMs: settings.deadlineMs };
    this.#arm = arm;
    this.#prices = new AzureRetailPrices({ ...options, endpoint: settings.endpoints.retailPrices, limits });
    this.#bill =
      settings.bill.from === 'focus'
        ? new FocusBill({ file: settings.bill.file, providers: PROVIDERS })
        : new CostManagementBill(arm, clock);
    const notices = new SpotNotices(arm);
    this.#check = new AzureCheck({ arm, settings, notices, clock, prices: this.#prices, bill: this.#bill });
  }

  listOfferings(regions: readonly string[]): Promise<OfferingListing> {
    return listOfferings(this.#arm, regions);
  }

  observePrices(regions: readonly string[]): Promise<PriceReading> {
    return this.#prices.observePrices(regions);
  }

  fetchBill(from: Instant, to: Instant): Promise<Bill> {
    return this.#bill.fetchBill(from, to);
  }

  check(): Promise<readonly CheckFinding[]> {
    return this.#check.check();
  }
}
