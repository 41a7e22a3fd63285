import { regionOf } from '../clouds/offering-key.ts';
import type { CapacityType, Offering } from '../clouds/offering.ts';
import type { LivedThrough } from './learned-risk.ts';

/** What a provider said no to lately; what is left out means any. */
export interface KnownRefusal {
  /** Who rents there (`RentableRegion.source`); others may still have some. */
  readonly source?: string;
  readonly region: string;
  readonly zone?: string;
  readonly instanceType?: string;
  readonly capacityType?: CapacityType;
  readonly code: 'STOCK_OUT' | 'NO_QUOTA';
  /** One sentence. */
  readonly message: string;
}

/** Machines that a cluster may still rent in a region. */
export interface RentableRegion {
  /** Names it: whoever asks knows which cluster and provider that is. */
  readonly source: string;
  /** `provider/region`. */
  readonly region: string;
  /** Only there; empty = in every zone. */
  readonly zones: readonly string[];
  readonly machines: number;
}

/** What is known of the world besides offerings and prices. */
export interface PlaceFacts {
  /** Absent = whatever is offered can be had. */
  readonly rentable?: readonly RentableRegion[];
  readonly refusals?: readonly KnownRefusal[];
  /** Between two regions; null = nobody measured it. */
  readonly roundTripMs?: (from: string, to: string) => number | null;
  /** What each machine needs for itself before any replica. */
  readonly overhead?: { readonly cpuMilli: number; readonly memoryMib: number };
  /** What was lived through with spot capacity, by offering; of others what is published counts. */
  readonly learned?: ReadonlyMap<string, LivedThrough>;
  /** By `provider/region`. */
  readonly zonesOf?: ReadonlyMap<string, readonly string[]>;
}

/** Why nobody who may rent there gives it; undefined = somebody may. */
export function refusalOf(facts: PlaceFacts, offering: Offering): KnownRefusal | undefined {
  const { refusals = [], rentable = [] } = facts;
  const first = refusals.find((one) => isAbout(one, offering));
  if (first?.source === undefined) return first;
  const isOpen = rentable.some(
    (one) => one.machines > 0 && isAt(one, regionOf(offering), offering.zone) && !isRefused(facts, one, offering),
  );
  return isOpen ? undefined : first;
}

const isRefused = ({ refusals = [] }: PlaceFacts, { source }: RentableRegion, offering: Offering): boolean =>
  refusals.some((one) => (one.source === undefined || one.source === source) && isAbout(one, offering));

const isAbout = (one: KnownRefusal, offering: Offering): boolean =>
  one.region === regionOf(offering) &&
  (one.zone === undefined || one.zone === offering.zone) &&
  (one.instanceType === undefined || one.instanceType === offering.instanceType) &&
  (one.capacityType === undefined || one.capacityType === offering.capacityType);

/** How many machines may be rented there by one cluster; null = as many as one likes. */
export function rentableIn({ rentable }: PlaceFacts, region: string, zone: string): number | null {
  if (!rentable) return null;
  return Math.max(0, ...rentable.filter((one) => isAt(one, region, zone)).map(({ machines }) => machines));
}

const isAt = (one: RentableRegion, region: string, zone: string): boolean =>
  one.region === region && (zone === '' || one.zones.length === 0 || one.zones.includes(zone));

/** The first that may rent so many machines there: one that was refused them lately only where there is no other. */
export function sourceFor(
  facts: PlaceFacts,
  { offering, zone, machines }: { readonly offering: Offering; readonly zone: string; readonly machines: number },
): RentableRegion | undefined {
  const all = (facts.rentable ?? []).filter((one) => isAt(one, regionOf(offering), zone) && one.machines >= machines);
  return all.find((one) => !isRefused(facts, one, { ...offering, zone })) ?? all[0];
}

/** The same facts once so many machines are taken from it. */
export const withTaken = (facts: PlaceFacts, source: string | null, machines: number): PlaceFacts =>
  facts.rentable
    ? {
        ...facts,
        rentable: facts.rentable.map((one) => (one.source === source ? { ...one, machines: one.machines - machines } : one)),
      }
    : facts;
