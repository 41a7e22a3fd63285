import type { CapacityType } from '../clouds/offering.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Accelerator, Resources } from '../kernel/resources.ts';

/** Whence requests come, and how much goes back there. */
export interface Caller {
  /** `provider/region`. */
  readonly region: string;
  readonly mibPerHour: number;
}

/** What is to run. */
export interface Demand {
  /** What one replica needs. */
  readonly resources: Resources;
  readonly capacityTypes: readonly CapacityType[];
  /** Absent = `amd64` only: what models are built for unless said otherwise. */
  readonly architectures?: readonly string[];
  /** Absent = one. */
  readonly replicas?: number;
  readonly callers?: readonly Caller[];
  /** No caller may be further away than this round trip; absent = distance does not matter. */
  readonly latencyMs?: number;
  /** What each new machine fetches, and where that lies (`provider/region`; null = nowhere that charges for it). */
  readonly artifact?: { readonly region: string | null; readonly bytes: number };
  /** From an interruption until a replica serves again. */
  readonly coldStartMs?: number;
  /** What an hour without a wished replica is worth. */
  readonly penaltyPerHour?: PicoUsdPerHour;
}

/** What the owner allows. Regions are `provider/region`, with `*` for any. */
export interface PlacementPolicy {
  readonly regions: readonly string[];
  readonly providers?: readonly string[];
  /** What law or contract allows, whatever `regions` says; absent = anywhere. */
  readonly residency?: readonly string[];
  /** Pico-USD per hour that one machine may cost at most; absent = no cap. */
  readonly maxPricePerHour?: PicoUsdPerHour;
  /** At least this share of the replicas is on demand, in percent. */
  readonly minOnDemandPercent?: number;
  /** At least so many zones share the replicas. */
  readonly zones?: number;
  /** Only in one of these regions: where what it must be near to is. */
  readonly near?: readonly string[];
  /** In none of these regions: where what it must be apart from is. */
  readonly apart?: readonly string[];
  /** Pico-USD per hour that all of it may cost; absent = no cap. */
  readonly maxSpendPerHour?: PicoUsdPerHour;
}

/** Asked for as an accelerator's model: whatever GPU runs CUDA and has the memory. */
export const ANY_GPU = 'any';

/** Devices that are no GPU that CUDA runs on. */
const OTHER_DEVICES = /^(Inferentia|Trainium|Gaudi|Qualcomm|Radeon|MI\d|TPU)/;

/** Memory that one device gives, in MiB: of a share of a device that share. A third is told as 333 thousandths, and is a third. */
export function memoryOfDevice({ memoryMib, countMilli }: Accelerator): number {
  if (countMilli <= 0 || countMilli >= 1000) return countMilli <= 0 ? 0 : memoryMib;
  const parts = Math.round(1000 / countMilli);
  return Math.floor(1000 / parts) === countMilli ? Math.floor(memoryMib / parts) : Math.floor((memoryMib * countMilli) / 1000);
}

/** Why what a machine has does not do; null = it does. */
export type AcceleratorMisfit = 'MISSING' | 'MODEL' | 'COUNT' | 'MEMORY';

export function acceleratorMisfit(wanted: Accelerator, has: Accelerator | null): AcceleratorMisfit | null {
  if (!has) return 'MISSING';
  if (wanted.model === ANY_GPU) {
    if (OTHER_DEVICES.test(has.model)) return 'MODEL';
    if (devicesOf(has) * 1000 < wanted.countMilli) return 'COUNT';
    return memoryOfDevice(has) < wanted.memoryMib ? 'MEMORY' : null;
  }
  if (has.model !== wanted.model) return 'MODEL';
  if (has.countMilli < wanted.countMilli) return 'COUNT';
  return has.memoryMib < wanted.memoryMib ? 'MEMORY' : null;
}

/** A share of a device shows as one; one of unknown count as none. */
const devicesOf = ({ countMilli }: Accelerator): number =>
  countMilli > 0 && countMilli < 1000 ? 1 : Math.floor(countMilli / 1000);

/** Replicas that the accelerators of a machine are enough for; infinitely many where none is needed. */
export function replicasPerAccelerators(wanted: Accelerator | null, has: Accelerator | null): number {
  if (!wanted || wanted.countMilli === 0) return Infinity;
  if (!has) return 0;
  const there = wanted.model === ANY_GPU ? devicesOf(has) * 1000 : has.countMilli;
  return Math.floor(there / wanted.countMilli);
}

export const replicasOfDemand = ({ replicas = 1 }: Demand): number => replicas;
