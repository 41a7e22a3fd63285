import { join } from 'node:path';
import type { Offering } from '../../src/clouds/offering.ts';
import type { ObservedPrice, PriceFeed, PriceReading } from '../../src/clouds/price-feed.port.ts';
import { regionOf } from '../../src/clouds/offering-key.ts';
import type { Instant } from '../../src/kernel/instant.ts';
import { formatUsd } from '../../src/kernel/money.ts';
import { packageRoot } from '../../src/main/package-root.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { acquireLease, renewLease, type Lease } from '../../src/persistence/lease.ts';
import { AgreementRepository } from '../../src/pricing/agreement.repository.ts';
import { BundledCatalogue } from '../../src/pricing/bundled-catalogue.adapter.ts';
import type { CatalogueRow } from '../../src/pricing/catalogue.port.ts';
import { PriceFeedRepository } from '../../src/pricing/price-feed.repository.ts';
import { PriceFeedsReconciler } from '../../src/pricing/price-feeds.reconciler.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { PricesService } from '../../src/pricing/prices.service.ts';
import { makePricingMetrics } from '../../src/pricing/pricing.metrics.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import { seededRandom } from './actors.ts';
import { openTestDatabase } from './database.ts';
import { quietLogger } from './quiet-logger.ts';

export const FEED_INTERVAL_MS = 600_000;
export const STALE_AFTER_MS = 3_600_000;

/** A feed that says what it is told to say, or fails as it is told to. */
export class ToldFeed implements PriceFeed {
  readonly name: string;
  offerings: readonly Offering[] = [];
  reading: PriceReading = { prices: [], unreadable: [], asOf: null };
  trouble: Error | null = null;

  constructor(name: string) {
    this.name = name;
  }

  listOfferings() {
    const answer = { offerings: this.offerings, unreadable: [] };
    return this.trouble ? Promise.reject(this.trouble) : Promise.resolve(answer);
  }

  observePrices() {
    return this.trouble ? Promise.reject(this.trouble) : Promise.resolve(this.reading);
  }

  says(prices: readonly ObservedPrice[], asOf: Instant | null = null): void {
    this.reading = { prices, unreadable: [], asOf };
  }
}

export const toObserved = ({ offering, price }: CatalogueRow): ObservedPrice => ({
  key: offering,
  amount: formatUsd(price),
  currency: 'USD',
  unit: 'hour',
  effectiveFrom: null,
});

/** The bundled book in a database, and the loop of feeds over `feeds`, all of them for the same regions. */
export async function openPriceWorld(start: Instant, feeds: readonly PriceFeed[], regions: readonly string[]) {
  const db = await openTestDatabase();
  const world = { now: start };
  const clock = { now: () => world.now };
  const catalogue = new BundledCatalogue(join(packageRoot, 'deploy', 'price-book'));
  const shared = {
    database: db.database,
    clock,
    random: seededRandom(start),
    commands: new Commands({ database: db.database, clock }),
  };
  const [prices, store, agreements] = [new PriceRepository(), new PriceFeedRepository(), new AgreementRepository()];
  const service = new PricesService({ ...shared, catalogue, store: prices });
  await service.loadCatalogue();
  const registry = makeMetricRegistry();
  const metrics = makePricingMetrics(registry);
  let lease = await db.database.write(SCOPE, (tx) => acquireLease(tx, 'price-feeds', 'test'));
  const makeReconciler = (configured: readonly PriceFeed[], asked: readonly string[]) =>
    new PriceFeedsReconciler({
      ...shared,
      logger: quietLogger,
      lease: () => lease,
      feeds: new Map(configured.map((feed) => [feed.name, { feed, regions: asked, intervalMs: FEED_INTERVAL_MS }])),
      staleAfterMs: STALE_AFTER_MS,
      store,
      prices,
      agreements,
      metrics,
    });
  let reconciler = makeReconciler(feeds, regions);
  /** As after a start with another configuration. */
  const restartWith = (configured: readonly PriceFeed[], asked: readonly string[] = regions): void => {
    reconciler = makeReconciler(configured, asked);
  };
  /** One pass of the loop; the lease is held throughout. */
  const pass = async (): Promise<void> => {
    const held: Lease | null = lease;
    if (held) await db.database.write(SCOPE, (tx) => renewLease(tx, held));
    const plan = reconciler.plan(await reconciler.prepare(), world.now);
    await reconciler.execute(plan, new AbortController().signal);
  };
  const book = (await catalogue.read()).rows.filter(({ offering }) => regions.includes(regionOf(offering)));
  const loseLease = () => {
    lease = null;
  };
  return { ...shared, db, world, prices, store, agreements, service, registry, restartWith, pass, book, loseLease };
}

export type PriceWorld = Awaited<ReturnType<typeof openPriceWorld>>;

export const SCOPE = { kind: 'reconciler', loop: 'test' } as const;
