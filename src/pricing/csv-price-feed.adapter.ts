import { open } from 'node:fs/promises';
import { request } from 'undici';
import { z } from 'zod';
import { CloudUnknown } from '../clouds/cloud-provider.port.ts';
import { regionOf } from '../clouds/offering-key.ts';
import type { OfferingListing, PriceFeed, PriceReading } from '../clouds/price-feed.port.ts';
import { digestOf } from '../kernel/digest.ts';
import { parseOwnPrices } from './parse-own-prices.ts';
import { parseSkypilot } from './parse-skypilot.ts';
import type { PriceTable } from './read-price-table.ts';

/** Largest table, in bytes. Higher: memory; lower: the largest catalogues, some 10 MB, are not read. */
const MAX_BYTES = 64 * 1024 * 1024;
/** For the whole answer. Higher: a server that hangs holds the loop up; lower: large tables over thin lines never come. */
const TIMEOUT_MS = 60_000;

/** Where a table is: one of the two. */
const Place = z.strictObject({
  path: z.string().min(1).optional(),
  url: z.url({ protocol: /^https?$/ }).optional(),
});
const oneOf = ({ path, url }: z.output<typeof Place>): boolean => (path === undefined) !== (url === undefined);
const ONE_OF = 'give either path or url';

export const PriceCsvSettings = Place.refine(oneOf, ONE_OF);
export const SkypilotCsvSettings = Place.extend({ provider: z.string().min(1).max(63) }).refine(oneOf, ONE_OF);

export type TablePlace = z.output<typeof Place>;

type EditedTable = PriceTable & { readonly edition: string };

export interface CsvPriceFeedOptions {
  readonly name: string;
  readonly place: TablePlace;
  readonly parse: (text: string) => PriceTable;
  readonly timeoutMs?: number;
}

/** Prices in a table of comma-separated values, in a file or behind an address; it is read anew each time. It says of no time of its own: what it holds tells its editions apart. */
export class CsvPriceFeed implements PriceFeed {
  readonly name: string;
  readonly #options: CsvPriceFeedOptions;
  /** What was listed last, until its prices are asked for: a large table takes long to read, and is the same one moments later. */
  #listed: EditedTable | null = null;

  constructor(options: CsvPriceFeedOptions) {
    this.name = options.name;
    this.#options = options;
  }

  async listOfferings(regions: readonly string[]): Promise<OfferingListing> {
    const table = await this.#table();
    this.#listed = table;
    const { offerings, unreadable } = table;
    return { offerings: offerings.filter((one) => regions.includes(regionOf(one))), unreadable };
  }

  async observePrices(regions: readonly string[]): Promise<PriceReading> {
    const { prices, unreadable, edition } = await this.#table();
    this.#listed = null;
    return { prices: prices.filter(({ key }) => regions.includes(regionOf(key))), unreadable, asOf: null, edition };
  }

  async #table(): Promise<EditedTable> {
    const { place, parse, timeoutMs = TIMEOUT_MS } = this.#options;
    const text = await (place.url === undefined ? fromFile(place.path ?? '') : fromAddress(place.url, timeoutMs));
    const edition = digestOf(text);
    return this.#listed?.edition === edition ? this.#listed : { ...parse(text), edition };
  }
}

export const skypilotFeed = (name: string, { provider, ...place }: z.output<typeof SkypilotCsvSettings>): CsvPriceFeed =>
  new CsvPriceFeed({ name, place, parse: (text) => parseSkypilot(text, provider) });

export const priceCsvFeed = (name: string, place: z.output<typeof PriceCsvSettings>): CsvPriceFeed =>
  new CsvPriceFeed({ name, place, parse: parseOwnPrices });

async function fromFile(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > MAX_BYTES) throw new Error(`it has ${size} bytes; at most ${MAX_BYTES} are read`);
    return await file.readFile('utf8');
  } catch (error) {
    throw new CloudUnknown(`${path} cannot be read: ${(error as Error).message}.`, { cause: error });
  }
}

async function fromAddress(url: string, timeoutMs: number): Promise<string> {
  try {
    const { statusCode, headers, body } = await request(url, { signal: AbortSignal.timeout(timeoutMs) });
    if (statusCode !== 200) {
      await body.dump();
      throw new Error(`it answers ${statusCode}`);
    }
    const text = await limited(body);
    const promised = Number(headers['content-length'] ?? text.length);
    if (text.length < promised) throw new Error(`it broke off after ${text.length} of ${promised} bytes`);
    return text.toString('utf8');
  } catch (error) {
    throw new CloudUnknown(`${new URL(url).host} cannot be read: ${(error as Error).message}.`, { cause: error });
  }
}

async function limited(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
