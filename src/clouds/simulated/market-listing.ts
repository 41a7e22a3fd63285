import type { Instant } from '../../kernel/instant.ts';
import { formatUsd } from '../../kernel/money.ts';
import type { Offering } from '../offering.ts';
import { offeringIdOf, regionOf, type OfferingKey } from '../offering-key.ts';
import type { ObservedPrice } from '../price-feed.port.ts';
import { rateAt, type MarketOffering, type PricedMarket } from './simulated-market.ts';

/** What the market sells in these regions: on demand by region, spot by zone. */
export const listed = (market: PricedMarket, cloud: string, regions: readonly string[]): Offering[] =>
  sold(market, cloud, regions).map(({ key, offering }) => ({
    ...key,
    id: offeringIdOf(key),
    architecture: offering.architecture,
    cpuMilli: offering.cpuMilli,
    memoryMib: offering.memoryMib,
    accelerator: offering.accelerator,
    interruptionBand: null,
  }));

/** The prices of all that, as of now. */
export const priced = (
  market: PricedMarket,
  cloud: string,
  { regions, now }: { readonly regions: readonly string[]; readonly now: Instant },
): ObservedPrice[] =>
  sold(market, cloud, regions).map(({ key }) => ({
    ...{ key, amount: formatUsd(rateAt(market, key, now) ?? 0n), currency: 'USD', unit: 'hour' },
    effectiveFrom: now,
  }));

interface Sold {
  readonly key: OfferingKey;
  readonly offering: MarketOffering;
}

const sold = (market: PricedMarket, cloud: string, regions: readonly string[]): Sold[] =>
  market.offerings
    .filter(({ region }) => regions.includes(regionOf({ provider: cloud, region })))
    .flatMap((offering) => {
      const { region, instanceType } = offering;
      const onDemand: OfferingKey = { provider: cloud, region, zone: '', instanceType, capacityType: 'on_demand' };
      const spot = (offering.spot === null ? [] : offering.zones).map((zone): OfferingKey => ({
        ...onDemand,
        zone,
        capacityType: 'spot',
      }));
      return [onDemand, ...spot].map((key) => ({ key, offering }));
    });
