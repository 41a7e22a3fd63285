import type { CapacityType, Offering } from '../clouds/offering.ts';
import { regionOf } from '../clouds/offering-key.ts';
import { formatUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import type { Accelerator, Resources } from '../kernel/resources.ts';
import type { PriceRow } from '../pricing/price-book.ts';

/** An offering with the price that is believed now; null = nobody knows one. */
export interface Candidate {
  readonly offering: Offering;
  readonly price: PriceRow | null;
}

/** What one replica needs. */
export interface Demand {
  readonly resources: Resources;
  readonly capacityTypes: readonly CapacityType[];
  /** Absent = `amd64` only: what models are built for unless said otherwise. */
  readonly architectures?: readonly string[];
}

/** What the owner allows. */
export interface PlacementPolicy {
  /** `provider/region`. */
  readonly regions: readonly string[];
  readonly providers?: readonly string[];
  /** Pico-USD per hour that one replica may cost at most; absent = no cap. */
  readonly maxPricePerHour?: PicoUsdPerHour;
}

export const REJECTION_CODES = [
  'REGION_NOT_ALLOWED',
  'PROVIDER_NOT_ALLOWED',
  'CAPACITY_TYPE_NOT_ALLOWED',
  'ARCHITECTURE',
  'CPU_TOO_SMALL',
  'MEMORY_UNKNOWN',
  'MEMORY_TOO_SMALL',
  'ACCELERATOR_MISSING',
  'ACCELERATOR_MODEL',
  'ACCELERATOR_COUNT',
  'ACCELERATOR_MEMORY',
  'UNPRICED',
  'ABOVE_SPEND_CAP',
] as const;

export type RejectionCode = (typeof REJECTION_CODES)[number];

export interface Rejection {
  readonly offering: Offering;
  readonly code: RejectionCode;
  /** One sentence with the numbers that decided. */
  readonly message: string;
}

/** A candidate that fits; it has a price, or it would have been rejected. */
export interface PricedCandidate {
  readonly offering: Offering;
  readonly price: PriceRow;
}

type Verdict = readonly [RejectionCode, string] | null;

interface Question {
  readonly candidate: Candidate;
  readonly demand: Demand;
  readonly policy: PlacementPolicy;
}

/** Keeps what fits; every candidate is either kept or rejected with the first reason that applies, in the order of the rules below. */
export function filterOfferings(
  demand: Demand,
  policy: PlacementPolicy,
  candidates: readonly Candidate[],
): { readonly kept: readonly PricedCandidate[]; readonly rejected: readonly Rejection[] } {
  const kept: PricedCandidate[] = [];
  const rejected: Rejection[] = [];
  for (const candidate of candidates) {
    const verdict = firstReason({ candidate, demand, policy });
    if (verdict) rejected.push({ offering: candidate.offering, code: verdict[0], message: verdict[1] });
    else if (candidate.price) kept.push({ offering: candidate.offering, price: candidate.price });
  }
  return { kept, rejected };
}

/** Where it may be, then what it must be, then what it may cost: the first reason is the one that a person would look at first. */
const RULES: readonly ((question: Question) => Verdict)[] = [rejectPlace, rejectKind, rejectSize, rejectAccelerator, rejectPrice];

function firstReason(question: Question): Verdict {
  for (const rule of RULES) {
    const verdict = rule(question);
    if (verdict) return verdict;
  }
  return null;
}

function rejectPlace({ candidate: { offering }, policy }: Question): Verdict {
  const region = regionOf(offering);
  if (!policy.regions.includes(region))
    return ['REGION_NOT_ALLOWED', `${region} is not among the allowed regions (${policy.regions.join(', ')}).`];
  if (policy.providers && !policy.providers.includes(offering.provider)) {
    return ['PROVIDER_NOT_ALLOWED', `${offering.provider} is not among the allowed providers (${policy.providers.join(', ')}).`];
  }
  return null;
}

function rejectKind({ candidate: { offering }, demand }: Question): Verdict {
  if (!demand.capacityTypes.includes(offering.capacityType)) {
    return [
      'CAPACITY_TYPE_NOT_ALLOWED',
      `Capacity type ${offering.capacityType} is not allowed (${demand.capacityTypes.join(', ')}).`,
    ];
  }
  const architectures = demand.architectures ?? ['amd64'];
  if (!architectures.includes(offering.architecture)) {
    return ['ARCHITECTURE', `It is ${offering.architecture}; the model runs on ${architectures.join(', ')}.`];
  }
  return null;
}

function rejectSize({ candidate: { offering }, demand: { resources } }: Question): Verdict {
  if (offering.cpuMilli < resources.cpuMilli) {
    return ['CPU_TOO_SMALL', `It has ${offering.cpuMilli} milli-CPU; ${resources.cpuMilli} are needed.`];
  }
  if (offering.memoryMib === null) return ['MEMORY_UNKNOWN', `Its memory is unknown; ${resources.memoryMib} MiB are needed.`];
  if (offering.memoryMib < resources.memoryMib) {
    return ['MEMORY_TOO_SMALL', `It has ${offering.memoryMib} MiB of memory; ${resources.memoryMib} are needed.`];
  }
  return null;
}

function rejectAccelerator({ candidate: { offering }, demand }: Question): Verdict {
  const wanted = demand.resources.accelerator;
  if (!wanted) return null;
  const has = offering.accelerator;
  if (!has) return ['ACCELERATOR_MISSING', `It has no accelerator; ${describe(wanted)} is needed.`];
  if (has.model !== wanted.model) return ['ACCELERATOR_MODEL', `It has ${has.model}; ${wanted.model} is needed.`];
  if (has.countMilli < wanted.countMilli) return ['ACCELERATOR_COUNT', `It has ${describe(has)}; ${describe(wanted)} is needed.`];
  if (has.memoryMib < wanted.memoryMib) {
    return ['ACCELERATOR_MEMORY', `One ${has.model} has ${has.memoryMib || 'unknown'} MiB; ${wanted.memoryMib} are needed.`];
  }
  return null;
}

function rejectPrice({ candidate: { price }, policy: { maxPricePerHour } }: Question): Verdict {
  if (!price) return ['UNPRICED', 'No price of it is known.'];
  if (maxPricePerHour !== undefined && price.effective > maxPricePerHour) {
    return [
      'ABOVE_SPEND_CAP',
      `It costs ${formatUsd(price.effective)} USD per hour; at most ${formatUsd(maxPricePerHour)} may be spent.`,
    ];
  }
  return null;
}

const describe = (accelerator: Accelerator): string => `${accelerator.countMilli / 1000} × ${accelerator.model}`;
