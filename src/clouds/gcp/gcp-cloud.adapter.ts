import type { Instant } from '../../kernel/instant.ts';
import type { Bill } from '../bill.port.ts';
import type { CheckFinding, CloudCheck } from '../cloud-check.port.ts';
import { CloudUnknown, type CloudProvider } from '../cloud-provider.port.ts';
import { FocusBill } from '../focus-bill.adapter.ts';
import type { OfferingListing, PriceReading } from '../price-feed.port.ts';
import { GcpApi } from './gcp-api.adapter.ts';
import { GcpBillingPrices } from './gcp-billing-prices.adapter.ts';
import { GcpCheck } from './gcp-check.adapter.ts';
import { GcpMachines, type GcpMachinesOptions } from './gcp-machines.adapter.ts';
import { PreemptionNotices } from './preemption-notices.adapter.ts';

/** In FOCUS exports. */
const PROVIDERS = ['Google', 'Google Cloud', 'GCP'];

/** A project of Google Cloud: machines in node pools and instance groups, its prices, and its bills by a FOCUS export. */
export class GcpCloud extends GcpMachines implements CloudProvider, CloudCheck {
  readonly #prices: GcpBillingPrices;
  readonly #bill: FocusBill | null;
  readonly #check: GcpCheck;

  constructor(options: GcpMachinesOptions, api = new GcpApi(options)) {
    super(options, api);
    const { settings } = options;
    this.#prices = new GcpBillingPrices(api);
    this.#bill = settings.bill && new FocusBill({ file: settings.bill.file, providers: PROVIDERS });
    this.#check = new GcpCheck({ api, settings, prices: this.#prices, notices: new PreemptionNotices(api) });
  }

  listOfferings(regions: readonly string[]): Promise<OfferingListing> {
    return this.#prices.listOfferings(regions);
  }

  observePrices(regions: readonly string[]): Promise<PriceReading> {
    return this.#prices.observePrices(regions);
  }

  fetchBill(from: Instant, to: Instant): Promise<Bill> {
    return this.#bill?.fetchBill(from, to) ?? Promise.reject(new CloudUnknown('no FOCUS export of the bill is named'));
  }

  check(): Promise<readonly CheckFinding[]> {
    return this.#check.check();
  }
}
