import type { CapacityType } from '../clouds/offering.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Resources } from '../kernel/resources.ts';
import { acceleratorMisfit } from './demand.ts';

/** Machines that can be rented, all alike. */
export interface FleetOffering {
  /** Unique; what ties are broken by. */
  readonly key: string;
  readonly pricePerHour: PicoUsdPerHour;
  /** Of one machine. */
  readonly resources: Resources;
  /** What spread counts. */
  readonly zone: string;
  readonly capacityType: CapacityType;
  /** Stock or quota of this offering alone; null = no limit. */
  readonly maxMachines: number | null;
}

/** A deployment with all its replicas. */
export interface FleetDemand {
  readonly key: string;
  readonly replicas: number;
  /** Of one replica. */
  readonly resources: Resources;
  /** Keys of the offerings that its policy allows. */
  readonly offerings: readonly string[];
  /** Replicas that must not be on spot; 0 = none. */
  readonly minOnDemand: number;
  /** Replicas in one zone at most; null = any number. */
  readonly maxPerZone: number | null;
}

/** A quota or a pool over several offerings. */
export interface FleetLimit {
  readonly key: string;
  readonly offerings: readonly string[];
  readonly maxMachines: number;
}

export interface FleetInput {
  readonly demands: readonly FleetDemand[];
  readonly offerings: readonly FleetOffering[];
  readonly limits: readonly FleetLimit[];
  /** Pico-USD per hour of all machines together; null = no limit. */
  readonly budgetPerHour: PicoUsdPerHour | null;
}

/**
 * How machines of an offering are used: divided by halves, so that replicas of several demands fill them without loss, or each for replicas of one
 * demand alone.
 */
export interface Way {
  readonly index: number;
  readonly offering: FleetOffering;
  readonly use: 'divided' | 'alone';
  /** Smallest parts of one machine: a power of two; 1 for a machine alone. */
  readonly parts: number;
  /** Limits that its machines count against, the offering's own included. */
  readonly limits: readonly number[];
}

/** One demand on one way, in lots: a lot is one replica on a divided machine, and all replicas of a machine alone. */
export interface FleetChoice {
  readonly index: number;
  readonly demand: number;
  readonly way: Way;
  /** Replicas of one lot. */
  readonly lot: number;
  /** Smallest parts that one lot takes. */
  readonly units: number;
  /** Replicas that fill a machine. */
  readonly perMachine: number;
  /** Lots at most. */
  readonly most: number;
  /** The same for choices of a demand that count the same for its policy. */
  readonly alike: string;
}

/** The input with every pair worked out, in the order of keys. */
export interface CompiledFleet {
  readonly demands: readonly FleetDemand[];
  readonly ways: readonly Way[];
  readonly choices: readonly FleetChoice[];
  /** By demand, the cheapest per replica first. */
  readonly choicesOf: readonly (readonly FleetChoice[])[];
  /** Machines at most, by limit. */
  readonly limits: readonly number[];
  readonly budgetPerHour: PicoUsdPerHour | null;
}

/** Replicas on one machine at most. Higher than what a node runs; it keeps parts of a machine countable. */
const MAX_PER_MACHINE = 64;

export function compileFleet(input: FleetInput): CompiledFleet {
  const demands = [...input.demands].sort(byKey);
  const offerings = [...input.offerings].sort(byKey);
  const limits = limitsOf(input, offerings);
  const ways: Way[] = [];
  const choices: FleetChoice[] = [];
  for (const [at, offering] of offerings.entries()) {
    const members = demands.flatMap((demand, index) => divisionsOf(offering, demand, index));
    for (const use of ['divided', 'alone'] as const) {
      const own = members.filter((member) => member.use === use);
      if (own.length === 0) continue;
      const parts = use === 'alone' ? 1 : Math.max(...own.map(({ perMachine }) => perMachine));
      const way: Way = { index: ways.length, offering, use, parts, limits: limits.of[at] ?? [] };
      ways.push(way);
      for (const member of own) {
        const units = use === 'alone' ? 1 : parts / member.perMachine;
        choices.push({ ...member, index: choices.length, way, units });
      }
    }
  }
  const byDemand = Map.groupBy(choices, ({ demand }) => demand);
  const choicesOf = demands.map((_, demand) => (byDemand.get(demand) ?? []).sort(byPricePerReplica));
  return { demands, ways, choices, choicesOf, limits: limits.most, budgetPerHour: input.budgetPerHour };
}

const byPricePerReplica = (a: FleetChoice, b: FleetChoice): number =>
  Number(a.way.offering.pricePerHour) / a.perMachine - Number(b.way.offering.pricePerHour) / b.perMachine || a.index - b.index;

function limitsOf({ limits }: FleetInput, offerings: readonly FleetOffering[]) {
  const most = limits.map(({ maxMachines }) => maxMachines);
  const of = offerings.map(({ key, maxMachines }) => {
    const shared = limits.flatMap((limit, index) => (limit.offerings.includes(key) ? [index] : []));
    return maxMachines === null ? shared : [...shared, most.push(maxMachines) - 1];
  });
  return { most, of };
}

type Division = Pick<FleetChoice, 'demand' | 'perMachine' | 'lot' | 'most' | 'alike'> & { readonly use: Way['use'] };

/** A demand's replicas share machines that are divided by halves, and fill machines alone where more fit than that. */
function divisionsOf(offering: FleetOffering, wanted: FleetDemand, demand: number): Division[] {
  const fit = wanted.offerings.includes(offering.key)
    ? Math.min(MAX_PER_MACHINE, timesIn(offering.resources, wanted.resources))
    : 0;
  const most = mostIn(offering, wanted);
  if (fit === 0 || most === 0) return [];
  const halved = 2 ** Math.floor(Math.log2(fit));
  const full = Math.min(fit, most);
  const alike = alikeIn(offering, wanted);
  const divided: Division = { demand, use: 'divided', perMachine: halved, lot: 1, most, alike };
  if (full <= halved) return [divided];
  return [divided, { demand, use: 'alone', perMachine: full, lot: full, most: Math.floor(most / full), alike }];
}

const alikeIn = ({ zone, capacityType }: FleetOffering, { minOnDemand, maxPerZone }: FleetDemand): string =>
  `${maxPerZone === null ? '' : zone}/${minOnDemand > 0 && capacityType === 'spot' ? 'spot' : ''}`;

/** Replicas that the policy lets sit in one place. */
const mostIn = ({ capacityType }: FleetOffering, { replicas, minOnDemand, maxPerZone }: FleetDemand): number =>
  Math.max(0, Math.min(replicas - (capacityType === 'spot' ? minOnDemand : 0), maxPerZone ?? replicas));

/** Replicas that fit on a machine together. */
export function timesIn(machine: Resources, replica: Resources): number {
  const accelerators = timesOn(machine, replica);
  return Math.min(times(machine.cpuMilli, replica.cpuMilli), times(machine.memoryMib, replica.memoryMib), accelerators);
}

/** A share stays on one device; several devices are whole. */
function timesOn({ accelerator: has }: Resources, { accelerator: wanted }: Resources): number {
  if (!wanted || wanted.countMilli === 0) return Infinity;
  if (!has || acceleratorMisfit({ ...wanted, countMilli: 0 }, has)) return 0;
  if (wanted.countMilli > 1000) return Math.floor(has.countMilli / (Math.ceil(wanted.countMilli / 1000) * 1000));
  return Math.floor(has.countMilli / 1000) * Math.floor(1000 / wanted.countMilli);
}

const times = (has: number, wanted: number): number => (wanted === 0 ? Infinity : Math.floor(has / wanted));

/** Whether machines that are divided into so many parts are shared. */
export const isDivided = (perMachine: number): boolean => Math.log2(perMachine) % 1 === 0;

const byKey = (a: { readonly key: string }, b: { readonly key: string }): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
