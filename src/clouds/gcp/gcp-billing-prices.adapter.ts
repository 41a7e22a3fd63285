import { z } from 'zod';
import { CloudUnknown } from '../cloud-provider.port.ts';
import type { OfferingListing, PriceFeed, PriceReading, UnreadableRow } from '../price-feed.port.ts';
import type { GcpApi } from './gcp-api.adapter.ts';
import { listShapes, type RegionShapes } from './machine-types.adapter.ts';
import { offeringsOf } from './machine-shapes.ts';
import { indexSkus, pricesOf, type ComputeSku } from './sku-prices.ts';

/** Compute Engine in the catalogue. */
const SERVICE = '/services/6F81-5844-456A';
/** The most that the catalogue gives. */
const PAGE_SIZE = 5_000;

const Rate = z.object({
  startUsageAmount: z.literal(0, 'has more than one price'),
  unitPrice: z.object({ currencyCode: z.string(), units: z.string(), nanos: z.number().int() }),
});
const Sku = z.object({
  skuId: z.string(),
  description: z.string(),
  category: z.object({ usageType: z.string() }),
  serviceRegions: z.array(z.string()),
  pricingInfo: z.array(
    z.object({
      effectiveTime: z.iso.datetime({ offset: true }),
      pricingExpression: z.object({
        usageUnit: z.string(),
        baseUnit: z.string().optional(),
        baseUnitConversionFactor: z.number().optional(),
        tieredRates: z.array(Rate).length(1),
      }),
    }),
  ),
});
const Described = z.object({
  skuId: z.string().default('a SKU'),
  category: z.object({ resourceFamily: z.string(), usageType: z.string() }).partial().optional(),
});
const Page = z.object({ skus: z.array(z.unknown()).default([]), nextPageToken: z.string().optional() });

export interface GcpBillingPricesOptions {
  readonly pageSize?: number | undefined;
}

/** Prices by the Cloud Billing Catalog, and the machine types that they are sums for. */
export class GcpBillingPrices implements PriceFeed {
  readonly name = 'gcp-billing';
  readonly #api: GcpApi;
  readonly #pageSize: number;

  constructor(api: GcpApi, { pageSize = PAGE_SIZE }: GcpBillingPricesOptions = {}) {
    this.#api = api;
    this.#pageSize = pageSize;
  }

  async listOfferings(regions: readonly string[]): Promise<OfferingListing> {
    const found = await this.#shapes(regions);
    return {
      offerings: found.flatMap(({ region, shapes }) => shapes.flatMap((shape) => offeringsOf(region, shape))),
      unreadable: found.flatMap(damagedIn),
    };
  }

  async observePrices(regions: readonly string[]): Promise<PriceReading> {
    const found = await this.#shapes(regions);
    if (found.length === 0) return { prices: [], unreadable: [], asOf: null };
    const { skus, damaged } = this.#read(await this.#skus());
    const index = indexSkus(skus);
    const readings = found.map(({ region, shapes }) => pricesOf(index, region, shapes));
    return {
      prices: readings.flatMap(({ prices }) => prices),
      unreadable: [...found.flatMap(damagedIn), ...damaged, ...readings.flatMap(({ unreadable }) => unreadable)],
      asOf: null,
    };
  }

  /** One sentence that the catalogue answers; throws like `observePrices`. */
  async probe(): Promise<string> {
    const { skus } = await this.#api
      .client('billing')
      .ask({ path: `${SERVICE}/skus`, query: { currencyCode: 'USD', pageSize: '1' } }, Page);
    if (skus.length === 0) throw new CloudUnknown('the catalogue has no SKUs');
    return 'The price catalogue answers.';
  }

  async #shapes(regions: readonly string[]): Promise<RegionShapes[]> {
    const mine = [...new Set(regions)].filter((one) => one.startsWith('gcp/')).map((one) => one.slice('gcp/'.length));
    return mine.length === 0 ? [] : listShapes(this.#api, mine);
  }

  /** A list whose last page is full may have lost the way to the next one: it is read once more in other pages. */
  async #skus(): Promise<unknown[]> {
    for (const pageSize of [this.#pageSize, this.#pageSize - 1]) {
      const call = { path: `${SERVICE}/skus`, query: { currencyCode: 'USD', pageSize: String(pageSize) } };
      const pages = await this.#api
        .client('billing')
        .pages(call, Page, ({ nextPageToken }) =>
          nextPageToken ? { ...call, query: { ...call.query, pageToken: nextPageToken } } : null,
        );
      if (pages.some(({ skus, nextPageToken }) => skus.length === 0 && nextPageToken))
        throw new CloudUnknown('a page of the catalogue has no SKUs and promises more');
      if ((pages.at(-1)?.skus.length ?? 0) < pageSize) return pages.flatMap(({ skus }) => skus);
    }
    throw new CloudUnknown('the catalogue ends with a full page: what follows it is lost');
  }

  #read(rows: readonly unknown[]): { skus: ComputeSku[]; damaged: UnreadableRow[] } {
    const skus = new Map<string, ComputeSku>();
    const damaged: UnreadableRow[] = [];
    for (const row of rows) {
      const read = Sku.safeParse(row);
      const sku = read.success ? this.#inForce(read.data) : null;
      if (sku && skus.has(sku.skuId)) throw new CloudUnknown(`the catalogue has ${sku.skuId} twice`);
      if (sku) skus.set(sku.skuId, sku);
      else if (!read.success) damaged.push(...damage(row, read.error));
    }
    return { skus: [...skus.values()], damaged };
  }

  /** Null = it has no price yet. */
  #inForce({ skuId, description, category, serviceRegions, pricingInfo }: z.infer<typeof Sku>): ComputeSku | null {
    const now = this.#api.clock.now();
    const past = pricingInfo.filter(({ effectiveTime }) => Date.parse(effectiveTime) <= now);
    const latest = past.sort((a, b) => Date.parse(b.effectiveTime) - Date.parse(a.effectiveTime))[0];
    const rate = latest?.pricingExpression.tieredRates[0];
    if (!latest || !rate) return null;
    const { units, nanos, currencyCode } = rate.unitPrice;
    const { usageUnit, baseUnit = '', baseUnitConversionFactor = 0 } = latest.pricingExpression;
    return {
      ...{ skuId, description, usageType: category.usageType, regions: serviceRegions },
      ...{ usageUnit, base: { unit: baseUnit, perUsageUnit: baseUnitConversionFactor } },
      ...{ currency: currencyCode, units, nanos, effectiveFrom: Date.parse(latest.effectiveTime) },
    };
  }
}

const damagedIn = ({ damaged }: RegionShapes): UnreadableRow[] =>
  damaged.map((ref) => ({ ref, reason: 'the machine type is not as documented' }));

/** SKUs of networks and disks have several prices by design: only those that a machine could be made of are told. */
function damage(row: unknown, error: z.ZodError): UnreadableRow[] {
  const { skuId = 'a SKU', category } = Described.safeParse(row).data ?? {};
  if (category?.resourceFamily !== undefined && category.resourceFamily !== 'Compute') return [];
  const [issue] = error.issues;
  return [{ ref: skuId, reason: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it cannot be read'}` }];
}
