import type { CloudRefusal } from '../clouds/cloud-provider.port.ts';
import { offeringKeyText, type OfferingKey } from '../clouds/offering-key.ts';
import type { Offering } from '../clouds/offering.ts';
import { HOUR_MS, MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { Pool } from './cluster.ts';
import type { PoolScaling } from './node.ts';

/** Refusals that speak of capacity and so concern every pool of the same kind; the others speak of one pool's description. */
export const CAPACITY_REFUSALS = ['STOCK_OUT', 'QUOTA'] as const satisfies readonly CloudRefusal[];

export type CapacityRefusal = (typeof CAPACITY_REFUSALS)[number];

/** What a provider last said of a kind of capacity: not now. A success takes it away. */
export interface CapacityAnswer {
  readonly key: OfferingKey;
  readonly reason: CapacityRefusal;
  readonly message: string;
  /** In a row. */
  readonly refusals: number;
  /** Since the first of them. */
  readonly since: Instant;
  /** Nobody asks, and no plan counts on it, before then. */
  readonly until: Instant;
}

/** After the first refusal. Higher: capacity that came back is noticed late; lower: a provider is asked in vain. */
const FIRST_MS = MINUTE_MS;
/** Doubling stops here. Higher: a long stock-out is remembered long after its end; lower: it is asked about all the while. */
const LONGEST_MS = HOUR_MS;

export const isCapacityRefusal = (reason: CloudRefusal): reason is CapacityRefusal =>
  CAPACITY_REFUSALS.some((one) => one === reason);

/**
 * What a refusal teaches: each one in a row doubles the wait, and what the provider itself says is the least. One that comes while another is
 * waited for, of a second pool for instance, is the same refusal once more.
 */
export function learnRefusal(
  before: CapacityAnswer | null,
  said: Pick<CapacityAnswer, 'key' | 'reason' | 'message'> & { readonly retryAfterMs: number | null },
  now: Instant,
): CapacityAnswer {
  const { key, reason, message, retryAfterMs } = said;
  const refusals = before === null ? 1 : before.refusals + (now < before.until ? 0 : 1);
  const waitMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(refusals - 1, 10));
  const until = now + Math.max(waitMs, retryAfterMs ?? 0);
  return { key, reason, message, refusals, since: before?.since ?? now, until };
}

/**
 * What a pool's machines are to its provider, as configured (two accounts of one cloud have each their own stock and quota): what it is sold as,
 * or else what its own settings say.
 */
export function capacityKeyOf(
  { capacityType }: Pick<Pool, 'capacityType'>,
  { provider, config }: Pick<PoolScaling, 'provider' | 'config'>,
  offering: Offering | null,
): OfferingKey {
  const { region = '', zone = '', instanceType = '' } = config;
  if (!offering) return { provider, region, zone, instanceType, capacityType };
  return { ...offering, provider, zone: offering.zone || zone, capacityType };
}

export const isSameCapacity = (a: OfferingKey, b: OfferingKey): boolean => offeringKeyText(a) === offeringKeyText(b);

/** What it keeps a pool from that needs more; null = it may ask again. */
export const stalledBy = (
  answer: CapacityAnswer | null,
  now: Instant,
): { readonly reason: string; readonly message: string } | null => (answer && now < answer.until ? inWords(answer) : null);

export const inWords = ({ reason, message }: { readonly reason: string; readonly message: string }) => ({
  reason,
  message: `its provider says: ${message}`,
});
