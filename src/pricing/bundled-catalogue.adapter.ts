import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { digestOf } from '../kernel/digest.ts';
import type { Catalogue, CataloguePort } from './catalogue.port.ts';
import { parseLatencies, parseOfferings, parseRegions, parseZoneItems } from './parse-catalogue.ts';

const FILES = ['offerings.csv.gz', 'regions.csv', 'latency.csv', 'zone_items.csv'] as const;

/** The price book that ships with the product: four files in one folder. */
export class BundledCatalogue implements CataloguePort {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async digest(): Promise<string> {
    return digestOf((await Promise.all(FILES.map((file) => this.#file(file)))).map((bytes) => digestOf(bytes)).join(' '));
  }

  async read(): Promise<Catalogue> {
    const [offerings, regions, latency, zoneItems] = await Promise.all(FILES.map((file) => this.#file(file)));
    return {
      rows: parseOfferings(gunzipSync(offerings ?? '').toString('utf8')),
      regions: parseRegions(textOf(regions)),
      latencies: parseLatencies(textOf(latency)),
      zoneItems: parseZoneItems(textOf(zoneItems)),
    };
  }

  #file(name: (typeof FILES)[number]): Promise<Buffer> {
    return readFile(join(this.#folder, name));
  }
}

const textOf = (bytes: Buffer | undefined): string => bytes?.toString('utf8') ?? '';
