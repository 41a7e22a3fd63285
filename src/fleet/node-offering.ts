import { offeringIdOf } from '../clouds/offering-key.ts';
import type { Id } from '../kernel/id.ts';
import type { ObservedNode } from './cluster-inventory.port.ts';

/**
 * The offerings of the price book that a node may be, the likeliest first: of its zone, or of its whole region. Empty for a node
 * that does not say what it is. Whether the price book knows one of them is for the caller to look up.
 */
export function offeringsOf(
  node: Pick<ObservedNode, 'provider' | 'region' | 'zone' | 'instanceType' | 'capacityType'>,
): readonly Id[] {
  const { provider, region, zone, instanceType } = node;
  if (provider === null || region === null || instanceType === null) return [];
  const capacityType = node.capacityType ?? 'on_demand';
  const zones = zone === null ? [''] : [zone, ''];
  return zones.map((one) => offeringIdOf({ provider, region, zone: one, instanceType, capacityType }));
}
