import type { Id } from '../kernel/id.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { machinesFor } from '../scheduler/filter-offerings.ts';
import type { Workload } from './replica.ts';

/** What replicas in one pool are priced by. */
export interface MachinePrice {
  /** Of one machine; null = nobody knows it. */
  readonly price: PicoUsdPerHour | null;
  /** Replicas that share one; absent = each has its own. */
  readonly perMachine?: number;
}

/** Believed prices of machines, by offering. */
export type MachineRates = ReadonlyMap<Id, PicoUsdPerHour>;

export const machinesOf = ({ replicas, perMachine = 1 }: Pick<Workload, 'replicas' | 'perMachine'>): number =>
  machinesFor(replicas, perMachine);

/**
 * The one rule of what replicas cost: the machines that they need, whole ones. Plans, limits, quotas and whoever gives way count by it, so that
 * they agree to the pico-dollar. Null = nobody knows.
 */
export function hourlyFor({ price, perMachine }: MachinePrice, replicas: number): PicoUsdPerHour | null {
  if (replicas === 0) return 0n;
  return price === null ? null : price * BigInt(machinesFor(replicas, perMachine ?? 1));
}

type Counted = Pick<Workload, 'offeringId' | 'replicas' | 'perMachine'>;

const hourlyEach = (workloads: readonly Counted[], rates: MachineRates): (PicoUsdPerHour | null)[] =>
  workloads.map((one) => hourlyFor(priceOf(one, rates), one.replicas));

export const priceOf = ({ offeringId, perMachine = 1 }: Omit<Counted, 'replicas'>, rates: MachineRates): MachinePrice => ({
  price: rates.get(offeringId) ?? null,
  perMachine,
});

/** Null as soon as one part is: what nobody knows is not free. */
export const sumOf = (parts: readonly (PicoUsdPerHour | null)[]): PicoUsdPerHour | null =>
  parts.reduce((all, part) => (all === null || part === null ? null : all + part), 0n);

/** Null = the price of something that has replicas is not known: nothing may be allowed by it. */
export const hourlyOfWorkloads = (workloads: readonly Counted[], rates: MachineRates): PicoUsdPerHour | null =>
  sumOf(hourlyEach(workloads, rates));

/** The part that is known: to be shown, never to be allowed by. */
export const knownHourlyOf = (workloads: readonly Counted[], rates: MachineRates): PicoUsdPerHour =>
  hourlyEach(workloads, rates).reduce<PicoUsdPerHour>((all, part) => all + (part ?? 0n), 0n);
