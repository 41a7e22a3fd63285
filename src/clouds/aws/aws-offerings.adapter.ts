import { CloudUnknown } from '../cloud-provider.port.ts';
import type { CapacityType, Offering } from '../offering.ts';
import { offeringIdOf } from '../offering-key.ts';
import type { OfferingListing, UnreadableRow } from '../price-feed.port.ts';
import type { AwsApi } from './aws-api.adapter.ts';
import { readInstanceType, type InstanceShape } from './read-instance-type.ts';
import type { SpotAdvisor } from './spot-advisor.adapter.ts';

/** Types per page: the most that EC2 gives. */
const TYPES_PAGE = 100;
const OFFERINGS_PAGE = 1_000;

/** Zones where a type can be rented, by type. */
export type ZonesOfTypes = ReadonlyMap<string, ReadonlySet<string>>;

/** `aws/us-east-1` and its like, once each, as AWS writes them. */
export const regionsOfAws = (regions: readonly string[]): string[] => [
  ...new Set(regions.filter((region) => /^aws\/[a-z0-9-]+$/.test(region)).map((region) => region.slice('aws/'.length))),
];

/** What can be rented: shapes and zones by EC2, interruption bands by the Spot Advisor. */
export class AwsOfferings {
  readonly #api: AwsApi;
  readonly #advisor: SpotAdvisor | null;

  constructor(api: AwsApi, advisor: SpotAdvisor | null) {
    this.#api = api;
    this.#advisor = advisor;
  }

  async list(regions: readonly string[]): Promise<OfferingListing> {
    const offerings: Offering[] = [];
    const unreadable: UnreadableRow[] = [];
    const bandOf = await this.#bands(regions);
    for (const region of regionsOfAws(regions)) {
      const zones = await this.zones(region);
      for (const { ref, shape } of await this.#types(region)) {
        if (typeof shape === 'string') unreadable.push({ ref, reason: shape });
        else if (shape)
          offerings.push(...offeringsOf(shape, { region, zones: zones.get(ref) ?? new Set(), band: bandOf(region, ref) }));
      }
    }
    return { offerings, unreadable };
  }

  /** Where each type of a region can be rented. A region without any is no region that answers. */
  async zones(region: string): Promise<ZonesOfTypes> {
    const { sdk, client } = await this.#api.open('ec2', region);
    const rows = await this.#api.pages('DescribeInstanceTypeOfferings', async (next, abortSignal) => {
      const command = new sdk.DescribeInstanceTypeOfferingsCommand({
        ...{ LocationType: 'availability-zone', MaxResults: OFFERINGS_PAGE, NextToken: next },
      });
      const { InstanceTypeOfferings = [], NextToken } = await client.send(command, { abortSignal });
      return { items: InstanceTypeOfferings, next: NextToken };
    });
    const zones = new Map<string, Set<string>>();
    for (const { InstanceType, Location } of rows)
      if (InstanceType !== undefined && Location !== undefined)
        zones.set(InstanceType, (zones.get(InstanceType) ?? new Set()).add(Location));
    if (zones.size === 0) throw new CloudUnknown(`AWS: nothing can be rented in ${region}`);
    return zones;
  }

  async #types(region: string): Promise<{ readonly ref: string; readonly shape: InstanceShape | string | null }[]> {
    const { sdk, client } = await this.#api.open('ec2', region);
    const types = await this.#api.pages('DescribeInstanceTypes', async (next, abortSignal) => {
      const command = new sdk.DescribeInstanceTypesCommand({ MaxResults: TYPES_PAGE, NextToken: next });
      const { InstanceTypes = [], NextToken } = await client.send(command, { abortSignal });
      return { items: InstanceTypes, next: NextToken };
    });
    return types.map((type) => ({ ref: type.InstanceType ?? '?', shape: readInstanceType(type) }));
  }

  async #bands(regions: readonly string[]): Promise<(region: string, type: string) => string | null> {
    if (!this.#advisor || regionsOfAws(regions).length === 0) return () => null;
    return this.#advisor.bands();
  }
}

interface Where {
  readonly region: string;
  readonly zones: ReadonlySet<string>;
  readonly band: string | null;
}

/** On demand at one price per region; spot at one per zone. */
function offeringsOf({ spot, ...shape }: InstanceShape, { region, zones, band }: Where): Offering[] {
  if (zones.size === 0) return [];
  const offering = (zone: string, capacityType: CapacityType, interruptionBand: string | null): Offering => {
    const key = { provider: 'aws', region, zone, instanceType: shape.instanceType, capacityType };
    return { id: offeringIdOf(key), ...shape, ...key, interruptionBand };
  };
  return [offering('', 'on_demand', null), ...(spot ? [...zones].map((zone) => offering(zone, 'spot', band)) : [])];
}
