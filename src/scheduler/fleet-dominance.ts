import type { CompiledFleet, FleetChoice, FleetOffering } from './fleet.ts';

/**
 * Without the choices on offerings that another beats: it costs no more, seats whoever may sit there in the same parts, counts the same for zones
 * and spot, and has no limit. Any machine of the beaten one may be exchanged for one of the other, so no plan becomes dearer. What `counts` uses
 * stays.
 */
export function withoutDominated(fleet: CompiledFleet, counts: readonly number[]): FleetChoice[] {
  const offers = offersOf(fleet);
  const used = new Set(fleet.choices.filter(({ index }) => (counts[index] ?? 0) > 0).map(({ way }) => way.offering));
  const kept = new Set<FleetOffering>();
  const sorted = [...offers.values()].sort((a, b) => comparePrices(a.offering, b.offering));
  for (const offer of sorted) {
    const beaten = sorted.some((other) => kept.has(other.offering) && beats(other, offer));
    if (!beaten || used.has(offer.offering)) kept.add(offer.offering);
  }
  return fleet.choices.filter(({ way }) => kept.has(way.offering));
}

interface Offer {
  readonly offering: FleetOffering;
  readonly limited: boolean;
  /** Demand and parts of each choice. */
  readonly seats: Set<string>;
  /** Whether somebody who may sit there counts zones, or spot. */
  zoned: boolean;
  lasting: boolean;
}

function offersOf({ choices, demands }: CompiledFleet): Map<FleetOffering, Offer> {
  const offers = new Map<FleetOffering, Offer>();
  for (const { way, demand, perMachine } of choices) {
    const { offering } = way;
    const offer = offers.get(offering) ?? {
      ...{ offering, limited: way.limits.length > 0 },
      ...{ seats: new Set<string>(), zoned: false, lasting: false },
    };
    offer.seats.add(`${demand}/${perMachine}`);
    offer.zoned ||= demands[demand]?.maxPerZone !== null;
    offer.lasting ||= (demands[demand]?.minOnDemand ?? 0) > 0;
    offers.set(offering, offer);
  }
  return offers;
}

function beats(other: Offer, offer: Offer): boolean {
  if (other.limited || other.seats.size < offer.seats.size) return false;
  if (offer.zoned && other.offering.zone !== offer.offering.zone) return false;
  if (offer.lasting && other.offering.capacityType === 'spot' && offer.offering.capacityType !== 'spot') return false;
  return [...offer.seats].every((seat) => other.seats.has(seat));
}

const comparePrices = (a: FleetOffering, b: FleetOffering): number =>
  a.pricePerHour < b.pricePerHour ? -1 : a.pricePerHour > b.pricePerHour ? 1 : a.key < b.key ? -1 : 1;
