import { z } from 'zod';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import { CloudUnknown } from '../cloud-provider.port.ts';
import type { OfferingListing, PriceFeed, PriceReading, UnreadableRow } from '../price-feed.port.ts';
import { RestClient, type RestCall, type RestLimits } from '../rest-client.adapter.ts';
import { pricesOfMeters, type RetailRow } from './retail-meters.ts';

const ENDPOINT = 'https://prices.azure.com/api/retail/prices';
/** The only one whose filter tells primary meters from copies of them. */
const API_VERSION = '2023-01-01-preview';
/** Rows of a full page, as documented. */
const PAGE_ROWS = 1_000;

const Text = z.string();
const Row: z.ZodType<RetailRow> = z.object({
  ...{ armSkuName: Text, armRegionName: Text, skuName: Text, meterName: Text, productName: Text, type: Text },
  ...{ unitOfMeasure: Text, currencyCode: Text, retailPrice: Text, effectiveStartDate: Text },
  isPrimaryMeterRegion: z.boolean().optional(),
});
/** Numbers come as text. */
const Page = z.object({ Items: z.array(z.unknown()), NextPageLink: z.string().nullable(), Count: z.string() });
type Page = z.infer<typeof Page>;

const Named = z.object({ meterId: z.string().optional(), armSkuName: z.string().optional() });

export interface AzureRetailPricesOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly endpoint?: string | undefined;
  /** Rows of a full page. */
  readonly pageRows?: number;
  readonly limits?: Partial<RestLimits> | undefined;
  readonly pause?: ((ms: number) => Promise<void>) | undefined;
}

/** Azure's public price list: on-demand and spot prices of Linux machines, without a key. It does not say what the machines have. */
export class AzureRetailPrices implements PriceFeed {
  readonly name = 'azure-retail';
  readonly #client: RestClient;
  readonly #clock: Clock;
  readonly #pageRows: number;

  constructor({ clock, random, endpoint = ENDPOINT, pageRows = PAGE_ROWS, limits, pause }: AzureRetailPricesOptions) {
    const more = { ...(limits ? { limits } : {}), ...(pause ? { pause } : {}) };
    this.#client = new RestClient({ endpoint, token: null, random, numbersAsText: true, ...more });
    this.#clock = clock;
    this.#pageRows = pageRows;
  }

  listOfferings(): Promise<OfferingListing> {
    return Promise.resolve({ offerings: [], unreadable: [] });
  }

  async observePrices(regions: readonly string[]): Promise<PriceReading> {
    const rows: RetailRow[] = [];
    const damaged: UnreadableRow[] = [];
    for (const region of new Set(regions.filter((one) => /^azure\/[a-z0-9]+$/.test(one)))) {
      for (const item of await this.#rowsOf(region.slice('azure/'.length))) {
        const row = Row.safeParse(item);
        if (row.success) rows.push(row.data);
        else damaged.push(unreadable(item, row.error));
      }
    }
    const { prices, unreadable: told } = pricesOfMeters(rows, this.#clock.now());
    return { prices, unreadable: [...damaged, ...told], asOf: null };
  }

  /** One sentence that the list answers; throws like `observePrices`. */
  async probe(): Promise<string> {
    const { Items } = await this.#client.ask(firstPage('eastus'), Page);
    return `The retail price list answers: ${Items.length} rows on its first page.`;
  }

  async #rowsOf(region: string): Promise<unknown[]> {
    const first = firstPage(region);
    const pages = await this.#client.pages(first, Page, ({ NextPageLink }) => (NextPageLink ? { path: NextPageLink } : null));
    pages.forEach(checkCount);
    const items = pages.flatMap(({ Items }) => Items);
    if ((pages.at(-1)?.Items.length ?? 0) >= this.#pageRows) await this.#checkEnd(first, items.length);
    return items;
  }

  /** A list whose last page is full may have lost the way to the next: whoever skips all of it must find nothing. */
  async #checkEnd(first: RestCall, rows: number): Promise<void> {
    const { Items } = await this.#client.ask({ ...first, query: { ...first.query, $skip: String(rows) } }, Page);
    if (Items.length > 0) throw new CloudUnknown('the price list goes on behind its last page');
  }
}

function firstPage(region: string): RestCall {
  const filter = `serviceName eq 'Virtual Machines' and priceType eq 'Consumption' and armRegionName eq '${region}'`;
  return {
    path: '',
    query: { 'api-version': API_VERSION, currencyCode: "'USD'", meterRegion: "'primary'", $filter: filter },
  };
}

function checkCount({ Items, Count, NextPageLink }: Page): void {
  if (Number(Count) !== Items.length)
    throw new CloudUnknown(`a page of the price list says ${Count} rows and has ${Items.length}`);
  if (Items.length === 0 && NextPageLink) throw new CloudUnknown('a page of the price list has no rows and promises more');
}

function unreadable(item: unknown, error: z.ZodError): UnreadableRow {
  const named = Named.safeParse(item);
  const [issue] = error.issues;
  return {
    ref: (named.success && (named.data.meterId ?? named.data.armSkuName)) || 'a row',
    reason: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it cannot be read'}`,
  };
}
