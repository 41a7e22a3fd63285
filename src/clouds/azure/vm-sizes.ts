import type { Accelerator } from '../../kernel/resources.ts';
import { parseDecimal, roundedTo } from '../decimal.ts';
import { offeringIdOf } from '../offering-key.ts';
import type { CapacityType, Offering } from '../offering.ts';

/** A size of machines as a location lists it. */
export interface VmSize {
  readonly name: string;
  readonly location: string;
  /** `vCPUs`, `MemoryGB`, `GPUs`, `CpuArchitectureType`, `LowPriorityCapable`, … */
  readonly capabilities: Readonly<Record<string, string>>;
  /** The subscription may not rent it in the whole location. */
  readonly isRestricted: boolean;
}

/** Azure says how many accelerators a size has, not which: the name does. The first that fits counts. */
const ACCELERATORS: readonly (readonly [pattern: RegExp, model: string, memoryMib: number])[] = [
  [/_GB200_/, 'GB200', 196_608],
  [/^NC\w*_H100_/, 'H100-NVL', 96_256],
  [/_H100_/, 'H100', 81_920],
  [/_H200_/, 'H200', 144_384],
  [/_MI300X_/, 'MI300X', 196_608],
  [/_A100_/, 'A100', 81_920],
  [/^ND96asr_v4$/, 'A100', 40_960],
  [/_A10_/, 'A10', 24_576],
  [/_T4_/, 'T4', 16_384],
  [/_RTXPRO6000/, 'RTX-PRO-6000', 98_304],
  [/_V710_/, 'Radeon-PRO-V710', 24_576],
  [/_V620/, 'Radeon-PRO-V620', 32_768],
  [/^NC\w+_v3$/, 'V100', 16_384],
  [/^ND40rs_v2$/, 'V100', 32_768],
  [/^NV\w+_v3$/, 'M60', 8_192],
  [/^NV\w+_v4$/, 'MI25', 16_384],
];
/** Of sizes with a part of an accelerator Azure counts the part as one. CPUs of the size that has a whole one. */
const SHARED: readonly (readonly [pattern: RegExp, cpus: number])[] = [
  [/^NV\w+_A10_v5$/, 36],
  [/_V710_/, 24],
  [/_V620/, 32],
  [/^NV\w+as_v4$/, 32],
];

/** What the subscription may rent; text = why it cannot be said. */
export function offeringsOf(size: VmSize): Offering[] | string {
  if (size.isRestricted) return [];
  const [cpus, memory] = [milli(size, 'vCPUs'), milli(size, 'MemoryGB')];
  if (cpus === null || cpus <= 0) return 'it does not say how many CPUs it has';
  const kinds: CapacityType[] = size.capabilities['LowPriorityCapable'] === 'True' ? ['on_demand', 'spot'] : ['on_demand'];
  return kinds.map((capacityType) => {
    const key = { provider: 'azure', region: size.location, zone: '', instanceType: size.name, capacityType };
    return {
      id: offeringIdOf(key),
      ...key,
      architecture: size.capabilities['CpuArchitectureType'] === 'Arm64' ? 'arm64' : 'amd64',
      cpuMilli: cpus,
      memoryMib: memory === null || memory === 0 ? null : Math.round((memory * 1_024) / 1_000),
      accelerator: acceleratorOf(size, cpus),
      interruptionBand: null,
    };
  });
}

/** In thousandths. */
function milli({ capabilities }: VmSize, name: string): number | null {
  const value = parseDecimal(capabilities[name] ?? '');
  return value && Number(roundedTo(value, 3));
}

/** One that is not known has no memory: it satisfies no demand. */
function acceleratorOf(size: VmSize, cpuMilli: number): Accelerator | null {
  const said = milli(size, 'GPUs') ?? 0;
  if (said === 0) return null;
  const name = size.name.replace(/^Standard_/, '');
  const [, model, memoryMib] = ACCELERATORS.find(([pattern]) => pattern.test(name)) ?? [null, name, 0];
  const whole = SHARED.find(([pattern]) => pattern.test(name))?.[1];
  const countMilli = whole !== undefined && said === 1_000 ? Math.min(1_000, Math.floor(cpuMilli / whole)) : said;
  return { model, countMilli, memoryMib };
}
