import type { Offering } from '../clouds/offering.ts';
import { regionOf } from '../clouds/offering-key.ts';
import { formatUsd } from '../kernel/money.ts';
import type { Accelerator } from '../kernel/resources.ts';
import type { PriceRow } from '../pricing/price-book.ts';
import {
  acceleratorMisfit,
  ANY_GPU,
  memoryOfDevice,
  replicasOfDemand,
  replicasPerAccelerators,
  type AcceleratorMisfit,
  type Demand,
  type PlacementPolicy,
} from './demand.ts';
import { refusalOf, rentableIn, type PlaceFacts } from './place-facts.ts';
import { meansAnyRegion } from './region-pattern.ts';

export type { Demand, PlacementPolicy } from './demand.ts';

/** An offering with the price that is believed now; null = nobody knows one. */
export interface Candidate {
  readonly offering: Offering;
  readonly price: PriceRow | null;
}

export const REJECTION_CODES = [
  'REGION_NOT_ALLOWED',
  'RESIDENCY',
  'PROVIDER_NOT_ALLOWED',
  'NOT_NEAR',
  'NOT_APART',
  'LATENCY_UNKNOWN',
  'LATENCY_TOO_LONG',
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
  'PRICE_STALE',
  'ABOVE_SPEND_CAP',
  'STOCK_OUT',
  'NO_QUOTA',
  'NOT_RENTABLE_HERE',
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

export type Verdict = readonly [RejectionCode, string] | null;

/** What is asked of each candidate. */
export interface Question {
  readonly demand: Demand;
  readonly policy: PlacementPolicy;
  readonly facts: PlaceFacts;
}

/** Keeps what fits; every candidate is either kept or rejected with the first reason that applies, in the order of the rules below. */
export function filterOfferings(
  demand: Demand,
  policy: PlacementPolicy,
  candidates: readonly Candidate[],
  facts: PlaceFacts = {},
): { readonly kept: readonly PricedCandidate[]; readonly rejected: readonly Rejection[] } {
  const kept: PricedCandidate[] = [];
  const rejected: Rejection[] = [];
  const question = { demand, policy, facts };
  for (const candidate of candidates) {
    const verdict = firstReason(question, candidate);
    if (verdict) rejected.push({ offering: candidate.offering, code: verdict[0], message: verdict[1] });
    else if (candidate.price) kept.push({ offering: candidate.offering, price: candidate.price });
  }
  return { kept, rejected };
}

/** Where it may be, then what it must be, what it may cost, and whether it can be had: the first reason is the one that a person would look at first. */
const RULES: readonly ((question: Question, candidate: Candidate) => Verdict)[] = [
  (question, { offering }) => rejectRegion(question, offering.provider, regionOf(offering)),
  (question, { offering }) => rejectKind(question, offering),
  rejectSize,
  (question, { offering }) => rejectAccelerator(question, offering.accelerator),
  rejectPrice,
  rejectStock,
];

export function firstReason(question: Question, candidate: Candidate): Verdict {
  for (const rule of RULES) {
    const verdict = rule(question, candidate);
    if (verdict) return verdict;
  }
  return null;
}

/** Of a whole region: the same for everything that can be rented there. */
export function rejectRegion({ demand, policy, facts }: Question, provider: string, region: string): Verdict {
  const { regions, residency, providers } = policy;
  if (!meansAnyRegion(regions, region))
    return ['REGION_NOT_ALLOWED', `${region} is not among the allowed regions (${regions.join(', ')}).`];
  if (residency && !meansAnyRegion(residency, region))
    return ['RESIDENCY', `${region} is outside of where the data may be (${residency.join(', ')}).`];
  if (providers && !providers.includes(provider))
    return ['PROVIDER_NOT_ALLOWED', `${provider} is not among the allowed providers (${providers.join(', ')}).`];
  return rejectNeighbours(policy, region) ?? rejectDistance(demand, facts, region);
}

function rejectNeighbours({ near, apart }: PlacementPolicy, region: string): Verdict {
  if (near && !near.includes(region))
    return ['NOT_NEAR', `It must be near to what is in ${near.join(', ') || 'no known region'}.`];
  return apart?.includes(region) ? ['NOT_APART', `It must be apart from what is in ${region}.`] : null;
}

function rejectDistance({ latencyMs, callers = [] }: Demand, { roundTripMs }: PlaceFacts, region: string): Verdict {
  if (latencyMs === undefined) return null;
  for (const caller of callers) {
    const ms = roundTripMs?.(region, caller.region) ?? null;
    if (ms === null) return ['LATENCY_UNKNOWN', `Nobody measured how far ${region} is from callers in ${caller.region}.`];
    if (ms > latencyMs)
      return ['LATENCY_TOO_LONG', `The round trip to callers in ${caller.region} takes ${ms} ms; ${latencyMs} ms are the goal.`];
  }
  return null;
}

/** Of a kind of machine: the same for every size of it. */
export function rejectKind({ demand }: Question, offering: Pick<Offering, 'capacityType' | 'architecture'>): Verdict {
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

function rejectSize({ demand: { resources }, facts: { overhead } }: Question, { offering }: Candidate): Verdict {
  const own = overhead ?? NO_OVERHEAD;
  if (offering.cpuMilli < resources.cpuMilli + own.cpuMilli)
    return ['CPU_TOO_SMALL', `It has ${offering.cpuMilli} milli-CPU; ${needs(resources.cpuMilli, own.cpuMilli)}.`];
  if (offering.memoryMib === null) return ['MEMORY_UNKNOWN', `Its memory is unknown; ${resources.memoryMib} MiB are needed.`];
  if (offering.memoryMib < resources.memoryMib + own.memoryMib)
    return ['MEMORY_TOO_SMALL', `It has ${offering.memoryMib} MiB of memory; ${needs(resources.memoryMib, own.memoryMib)}.`];
  return null;
}

export const NO_OVERHEAD = { cpuMilli: 0, memoryMib: 0 };

const needs = (wanted: number, own: number): string =>
  own === 0 ? `${wanted} are needed` : `${wanted} are needed, and ${own} for the machine itself`;

/** Of a device: the same for every machine that has it. */
export function rejectAccelerator({ demand }: Question, has: Accelerator | null): Verdict {
  const wanted = demand.resources.accelerator;
  const misfit = wanted && acceleratorMisfit(wanted, has);
  return misfit ? [`ACCELERATOR_${misfit}`, MISFITS[misfit](wanted, has)] : null;
}

const MISFITS: Readonly<Record<AcceleratorMisfit, (wanted: Accelerator, has: Accelerator | null) => string>> = {
  MISSING: (wanted) => `It has no accelerator; ${describe(wanted)} is needed.`,
  MODEL: (wanted, has) => `It has ${has?.model ?? 'none'}; ${nameOf(wanted)} is needed.`,
  COUNT: (wanted, has) => `It has ${has ? describe(has) : 'none'}; ${describe(wanted)} is needed.`,
  MEMORY: (wanted, has) => `${memoryShown(wanted, has)}; ${wanted.memoryMib} MiB are needed.`,
};

function memoryShown({ model: wanted }: Accelerator, has: Accelerator | null): string {
  if (!has?.memoryMib) return `The memory of its ${has?.model ?? 'accelerator'} is unknown`;
  return wanted === ANY_GPU && has.countMilli < 1000
    ? `Its share of one ${has.model} has ${memoryOfDevice(has)} MiB`
    : `One ${has.model} has ${has.memoryMib} MiB`;
}

function rejectPrice({ policy: { maxPricePerHour } }: Question, { price }: Candidate): Verdict {
  if (!price) return ['UNPRICED', 'No price of it is known.'];
  if (price.stale) {
    const last = `${formatUsd(price.effective)} USD per hour, of ${price.source}`;
    return ['PRICE_STALE', `Nobody has confirmed its price for too long; the last one was ${last}.`];
  }
  if (maxPricePerHour !== undefined && price.effective > maxPricePerHour) {
    return [
      'ABOVE_SPEND_CAP',
      `It costs ${formatUsd(price.effective)} USD per hour; at most ${formatUsd(maxPricePerHour)} may be spent.`,
    ];
  }
  return null;
}

/** Whether it can be had: what providers refused, and how many machines clusters may rent there. */
export function rejectStock({ demand, facts }: Question, { offering }: Candidate): Verdict {
  const refusal = refusalOf(facts, offering);
  if (refusal) return [refusal.code, refusal.message];
  const rentable = rentableIn(facts, regionOf(offering), offering.zone);
  if (rentable === null) return null;
  if (rentable === 0) return ['NOT_RENTABLE_HERE', `No cluster may rent machines in ${regionOf(offering)}.`];
  const machines = machinesFor(replicasOfDemand(demand), replicasPerMachine({ demand, facts }, offering));
  return machines <= rentable
    ? null
    : ['NO_QUOTA', `Clusters may rent ${rentable} more machines in ${regionOf(offering)}; ${machines} are needed.`];
}

export const machinesFor = (replicas: number, perMachine: number): number => Math.ceil(replicas / perMachine);

/** How many replicas one machine takes; 0 = it is too small. */
export function replicasPerMachine({ demand, facts }: Pick<Question, 'demand' | 'facts'>, offering: Offering): number {
  const { resources } = demand;
  const own = facts.overhead ?? NO_OVERHEAD;
  const cpus = Math.floor((offering.cpuMilli - own.cpuMilli) / Math.max(1, resources.cpuMilli));
  const memory = Math.floor(((offering.memoryMib ?? 0) - own.memoryMib) / Math.max(1, resources.memoryMib));
  return Math.max(0, Math.min(cpus, memory, replicasPerAccelerators(resources.accelerator, offering.accelerator)));
}

const describe = (accelerator: Accelerator): string => `${accelerator.countMilli / 1000} × ${nameOf(accelerator)}`;
const nameOf = ({ model, memoryMib }: Accelerator): string =>
  model === ANY_GPU ? `any GPU${memoryMib > 0 ? ` with ${memoryMib} MiB` : ''}` : model;
