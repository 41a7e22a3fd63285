import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { digestOf } from '../kernel/digest.ts';
import type { Catalogue, CataloguePort } from './catalogue.port.ts';
import { parseOfferings, parseRegions } from './parse-catalogue.ts';

/** The price book that ships with the product: `offerings.csv.gz` and `regions.csv` in one folder. */
export class BundledCatalogue implements CataloguePort {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async digest(): Promise<string> {
    const [offerings, regions] = await this.#files();
    return digestOf(`${digestOf(offerings)} ${digestOf(regions)}`);
  }

  async read(): Promise<Catalogue> {
    const [offerings, regions] = await this.#files();
    return { rows: parseOfferings(gunzipSync(offerings).toString('utf8')), regions: parseRegions(regions.toString('utf8')) };
  }

  #files(): Promise<[Buffer, Buffer]> {
    return Promise.all([readFile(join(this.#folder, 'offerings.csv.gz')), readFile(join(this.#folder, 'regions.csv'))]);
  }
}
