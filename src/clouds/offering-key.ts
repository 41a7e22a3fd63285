import { digestOf } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';
import type { Offering } from './offering.ts';

export type OfferingKey = Pick<Offering, 'provider' | 'region' | 'zone' | 'instanceType' | 'capacityType'>;

/** The key as one line, `aws/us-east-1/-/m5.large/on_demand`: unique, readable, and what lists are sorted by. */
export const offeringKeyText = (key: OfferingKey): string =>
  `${key.provider}/${key.region}/${key.zone || '-'}/${key.instanceType}/${key.capacityType}`;

/** The region as configuration names it. */
export const regionOf = (offering: Pick<Offering, 'provider' | 'region'>): string => `${offering.provider}/${offering.region}`;

/**
 * The id of an offering follows from its key, so that every installation and every load of the price book agrees on it: a
 * version-8 UUID (RFC 9562 §5.8) of the first 122 bits of the key's SHA-256.
 */
export function offeringIdOf(key: OfferingKey): Id {
  const hex = digestOf(offeringKeyText(key)).slice('sha256:'.length);
  const variant = '89ab'[Number.parseInt(hex.charAt(16), 16) % 4] ?? '8';
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
