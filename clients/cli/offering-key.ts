import type { CapacityType, OfferingKey } from '../typescript/generated/graphql.ts';
import { CommandFailure, EXIT } from './exit-codes.ts';

const CAPACITY_TYPES: Readonly<Record<string, CapacityType>> = { on_demand: 'ON_DEMAND', spot: 'SPOT', reserved: 'RESERVED' };

/** How a capacity type is written; anything else is a wrong argument. */
export function capacityType(text: string): CapacityType {
  const found = CAPACITY_TYPES[text.toLowerCase()];
  if (found) return found;
  throw new CommandFailure(`"${text}" must be one of ${Object.keys(CAPACITY_TYPES).join(', ')}.`, EXIT.USAGE);
}

/** `aws/us-east-1/-/m5.large/on_demand`, as lists print it; `-` stands for no zone. */
export function offeringKey(text: string): OfferingKey {
  const [provider, region, zone, instanceType, capacity, ...rest] = text.split('/');
  if (!provider || !region || !zone || !instanceType || !capacity || rest.length > 0)
    throw new CommandFailure(`"${text}" must look like aws/us-east-1/-/m5.large/on_demand.`, EXIT.USAGE);
  return { provider, region, zone: zone === '-' ? null : zone, instanceType, capacityType: capacityType(capacity) };
}

/** The same the other way round. */
export const offeringText = ({ provider, region, zone, instanceType, capacityType: capacity }: OfferingKey): string =>
  [provider, region, zone ?? '-', instanceType, (capacity ?? 'ON_DEMAND').toLowerCase()].join('/');
