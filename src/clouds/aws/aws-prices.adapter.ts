import type { Filter } from '@aws-sdk/client-pricing';
import type { Clock } from '../../kernel/clock.ts';
import type { Instant } from '../../kernel/instant.ts';
import { CloudUnknown } from '../cloud-provider.port.ts';
import type { ObservedPrice, PriceReading, UnreadableRow } from '../price-feed.port.ts';
import type { AwsApi } from './aws-api.adapter.ts';
import { regionsOfAws, type AwsOfferings, type ZonesOfTypes } from './aws-offerings.adapter.ts';
import { readProduct, type ListedProduct } from './read-product.ts';

/** The price list is served from here for all regions. */
const PRICING_REGION = 'us-east-1';
/** Products per page: the most that there can be. */
const PRODUCTS_PAGE = 100;
const HISTORY_PAGE = 1_000;
/**
 * Share of the types that EC2 offers in a region which must have a price: an answer that lost a page looks complete, and is not. A few types
 * are on hosts or in blocks only and have none. Higher: those few refuse all; lower: half a page passes.
 */
const MIN_LISTED_SHARE = 0.9;
/** The other way about: types that have a price and are offered. Some are for few accounts only. */
const MIN_OFFERED_SHARE = 0.8;
/** The same of spot, which more types do not have. */
const MIN_SPOT_SHARE = 0.7;

/** Linux on shared tenancy without commitment. */
const LINUX: readonly (readonly [string, string])[] = [
  ['operatingSystem', 'Linux'],
  ['tenancy', 'Shared'],
  ['preInstalledSw', 'NA'],
  ['capacitystatus', 'Used'],
  ['marketoption', 'OnDemand'],
];

/** The second is what accounts from before networks of one's own are told. */
const SPOT_LINUX = ['Linux/UNIX', 'Linux/UNIX (Amazon VPC)'];

export interface AwsPricesDeps {
  readonly api: AwsApi;
  readonly offerings: AwsOfferings;
  readonly clock: Clock;
}

interface Reading {
  readonly prices: ObservedPrice[];
  readonly unreadable: UnreadableRow[];
  readonly dates: Instant[];
}

/** On-demand prices by the price list, spot prices of now by EC2, each with the amount as it was written. */
export class AwsPrices {
  readonly #deps: AwsPricesDeps;

  constructor(deps: AwsPricesDeps) {
    this.#deps = deps;
  }

  async observe(regions: readonly string[]): Promise<PriceReading> {
    const readings: Reading[] = [];
    for (const region of regionsOfAws(regions)) {
      const zones = await this.#deps.offerings.zones(region);
      readings.push(await this.#listed(region, zones), await this.#spot(region, zones));
    }
    const dates = readings.flatMap((reading) => reading.dates);
    return {
      prices: readings.flatMap(({ prices }) => prices),
      unreadable: readings.flatMap(({ unreadable }) => unreadable),
      asOf: dates.reduce<Instant | null>((latest, date) => (latest === null || date > latest ? date : latest), null),
    };
  }

  async #listed(region: string, zones: ZonesOfTypes): Promise<Reading> {
    const reading: Reading = { prices: [], unreadable: [], dates: [] };
    const byType = new Map<string, ListedProduct[]>();
    for (const text of await this.#products(region)) {
      const product = readProduct(text);
      if ('reason' in product) reading.unreadable.push(product);
      else if (product.region === region)
        byType.set(product.instanceType, [...(byType.get(product.instanceType) ?? []), product]);
    }
    const offered = [...byType].filter(([type]) => zones.has(type));
    for (const [instanceType, products] of offered) addListed(reading, instanceType, products);
    const found = offered.length + reading.unreadable.length;
    checkShare(`price list of ${region}`, { found, of: zones.size, least: MIN_LISTED_SHARE });
    checkShare(`list of what ${region} offers`, { found: offered.length, of: byType.size, least: MIN_OFFERED_SHARE });
    return reading;
  }

  async #products(region: string): Promise<string[]> {
    const { sdk, client } = await this.#deps.api.open('pricing', PRICING_REGION);
    const filters = [...LINUX, ['regionCode', region] as const].map(([Field, Value]): Filter => ({
      Type: 'TERM_MATCH',
      Field,
      Value,
    }));
    return this.#deps.api.pages('GetProducts', async (next, abortSignal) => {
      const command = new sdk.GetProductsCommand({
        ...{ ServiceCode: 'AmazonEC2', FormatVersion: 'aws_v1', Filters: filters, MaxResults: PRODUCTS_PAGE, NextToken: next },
      });
      const answer = await client.send(command, { abortSignal });
      const list: unknown = answer.PriceList ?? [];
      return { items: Array.isArray(list) ? list.map(String) : [], next: answer.NextToken };
    });
  }

  /** EC2 answers a history that begins now with what is in force now, per zone. */
  async #spot(region: string, zones: ZonesOfTypes): Promise<Reading> {
    const { sdk, client } = await this.#deps.api.open('ec2', region);
    const startTime = new Date(this.#deps.clock.now());
    const history = await this.#deps.api.pages('DescribeSpotPriceHistory', async (next, abortSignal) => {
      const command = new sdk.DescribeSpotPriceHistoryCommand({
        ...{ StartTime: startTime, ProductDescriptions: [...SPOT_LINUX], MaxResults: HISTORY_PAGE, NextToken: next },
      });
      const { SpotPriceHistory = [], NextToken } = await client.send(command, { abortSignal });
      return { items: SpotPriceHistory, next: NextToken };
    });
    const reading: Reading = { prices: [], unreadable: [], dates: [] };
    const newest = new Map<string, SpotRow>();
    for (const row of history) {
      const read = readSpot(row);
      if (typeof read === 'string') reading.unreadable.push({ ref: `spot ${region}`, reason: read });
      else if (zones.get(read.instanceType)?.has(read.zone)) keepNewest(newest, read);
    }
    for (const row of newest.values()) addSpot(reading, region, row);
    const found = new Set([...newest.values()].map(({ instanceType }) => instanceType)).size + reading.unreadable.length;
    checkShare(`spot prices of ${region}`, { found, of: zones.size, least: MIN_SPOT_SHARE });
    return reading;
  }
}

function addListed({ prices, unreadable, dates }: Reading, instanceType: string, products: readonly ListedProduct[]): void {
  const [product] = products;
  if (!product) return;
  const { region, amount, currency, unit, effectiveFrom, publishedAt } = product;
  if (products.some((other) => other.amount !== amount || other.currency !== currency || other.unit !== unit)) {
    unreadable.push({ ref: `${instanceType} in ${region}`, reason: 'it is listed at more than one price' });
    return;
  }
  const key = { provider: 'aws', region, zone: '', instanceType, capacityType: 'on_demand' as const };
  prices.push({ key, amount, currency, unit, effectiveFrom });
  if (publishedAt !== null) dates.push(publishedAt);
}

interface SpotRow {
  readonly instanceType: string;
  readonly zone: string;
  readonly amount: string;
  readonly at: Instant;
}

interface HistoryRow {
  readonly InstanceType?: string | undefined;
  readonly AvailabilityZone?: string | undefined;
  readonly SpotPrice?: string | undefined;
  readonly Timestamp?: Date | undefined;
}

function readSpot({ InstanceType, AvailabilityZone, SpotPrice, Timestamp }: HistoryRow): SpotRow | string {
  const at = Timestamp?.getTime();
  if (InstanceType === undefined || AvailabilityZone === undefined) return 'a spot price without type or zone';
  if (SpotPrice === undefined || at === undefined || !Number.isSafeInteger(at))
    return `${InstanceType} in ${AvailabilityZone}: no price or no time`;
  return { instanceType: InstanceType, zone: AvailabilityZone, amount: SpotPrice, at };
}

function keepNewest(newest: Map<string, SpotRow>, row: SpotRow): void {
  const key = `${row.zone}/${row.instanceType}`;
  const known = newest.get(key);
  if (!known || row.at > known.at) newest.set(key, row);
}

/** EC2 says prices of spot in USD per hour, in its reference and not in its answers. */
function addSpot({ prices, dates }: Reading, region: string, { instanceType, zone, amount, at }: SpotRow): void {
  const key = { provider: 'aws', region, zone, instanceType, capacityType: 'spot' as const };
  prices.push({ key, amount, currency: 'USD', unit: 'hour', effectiveFrom: at });
  dates.push(at);
}

interface Share {
  readonly found: number;
  readonly of: number;
  readonly least: number;
}

function checkShare(what: string, { found, of, least }: Share): void {
  if (found < of * least) throw new CloudUnknown(`AWS: the ${what} has ${found} types of ${of}: a part of it is missing`);
}
