import { join } from 'node:path';
import type { Clock } from '../../src/kernel/clock.ts';
import type { Random } from '../../src/kernel/random.ts';
import { Commands } from '../../src/persistence/commands.ts';
import type { Database } from '../../src/persistence/database.ts';
import { BundledCatalogue } from '../../src/pricing/bundled-catalogue.adapter.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { PricesService } from '../../src/pricing/prices.service.ts';

const BOOK = join(import.meta.dirname, '..', '..', 'deploy', 'price-book');

/** Loads the whole bundled price book, as a start does. */
export async function loadPriceBook(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
}): Promise<void> {
  const { database, clock, random } = deps;
  const commands = new Commands({ database, clock });
  const catalogue = new BundledCatalogue(BOOK);
  await new PricesService({ database, clock, random, commands, store: new PriceRepository(), catalogue }).loadCatalogue();
}
