import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import type { Commands } from '../persistence/commands.ts';
import type { Database } from '../persistence/database.ts';
import { AgreementRepository } from '../pricing/agreement.repository.ts';
import { AgreementsService } from '../pricing/agreements.service.ts';
import { PriceFeedRepository } from '../pricing/price-feed.repository.ts';
import { PriceFeedsService } from '../pricing/price-feeds.service.ts';
import type { PriceStore } from '../pricing/price-store.port.ts';

interface PricingDeps {
  readonly database: Database;
  readonly commands: Commands;
  readonly clock: Clock;
  readonly random: Random;
  readonly priceStore: PriceStore;
}

/** Who says prices, and what was agreed about them. */
export function makePricing({ priceStore: prices, ...shared }: PricingDeps) {
  const [feedStore, agreementStore] = [new PriceFeedRepository(), new AgreementRepository()];
  return {
    feedStore,
    agreementStore,
    feeds: new PriceFeedsService({ ...shared, prices, store: feedStore, agreements: agreementStore }),
    agreements: new AgreementsService({ ...shared, prices, store: agreementStore }),
  };
}
