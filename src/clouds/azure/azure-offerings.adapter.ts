import { z } from 'zod';
import type { Offering } from '../offering.ts';
import type { OfferingListing, UnreadableRow } from '../price-feed.port.ts';
import type { ArmClient } from './arm-client.adapter.ts';
import { offeringsOf } from './vm-sizes.ts';

const Sku = z.object({
  resourceType: z.string(),
  name: z.string(),
  capabilities: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
  restrictions: z.array(z.object({ type: z.string() })).nullish(),
});
const Named = z.object({ resourceType: z.string().default('virtualMachines'), name: z.string().default('a size') });

/** What the subscription may rent in regions (`azure/eastus`), by the list of SKUs of Compute. */
export async function listOfferings(arm: ArmClient, regions: readonly string[]): Promise<OfferingListing> {
  const offerings: Offering[] = [];
  const unreadable: UnreadableRow[] = [];
  for (const location of new Set(
    regions.filter((one) => /^azure\/[a-z0-9]+$/.test(one)).map((one) => one.slice('azure/'.length)),
  )) {
    const query = { 'api-version': '2021-07-01', $filter: `location eq '${location}'` };
    const items = await arm.list(`${arm.subscription}/providers/Microsoft.Compute/skus`, query, z.unknown());
    const sizes = items.filter((item) => Named.safeParse(item).data?.resourceType === 'virtualMachines');
    for (const item of sizes) {
      const found = read(item, location);
      if (typeof found === 'string') unreadable.push({ ref: `${location}/${Named.parse(item).name}`, reason: found });
      else offerings.push(...found);
    }
  }
  return { offerings, unreadable };
}

function read(item: unknown, location: string): Offering[] | string {
  const sku = Sku.safeParse(item);
  if (!sku.success) return sku.error.issues[0]?.message ?? 'it cannot be read';
  const { name, capabilities, restrictions } = sku.data;
  return offeringsOf({
    ...{ name, location },
    capabilities: Object.fromEntries((capabilities ?? []).map((one) => [one.name, one.value])),
    isRestricted: (restrictions ?? []).some(({ type }) => type === 'Location'),
  });
}
