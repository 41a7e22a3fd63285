import type { Accelerator } from '../../kernel/resources.ts';
import { offeringIdOf } from '../offering-key.ts';
import type { CapacityType, Offering } from '../offering.ts';

/** A machine type as a zone lists it. */
export interface MachineShape {
  readonly name: string;
  readonly guestCpus: number;
  readonly memoryMb: number;
  readonly isSharedCpu: boolean;
  readonly architecture: string | null;
  readonly accelerator: { readonly type: string; readonly count: number } | null;
  /** Disks that come with it and are paid for apart. */
  readonly bundledDisks: number;
}

/** Name and memory of one, as the price book has them. */
const ACCELERATORS: Readonly<Record<string, readonly [model: string, memoryMib: number]>> = {
  'nvidia-tesla-p4': ['P4', 8_192],
  'nvidia-tesla-p100': ['P100', 16_384],
  'nvidia-tesla-v100': ['V100', 16_384],
  'nvidia-tesla-t4': ['T4', 16_384],
  'nvidia-l4': ['L4', 24_576],
  'nvidia-tesla-a100': ['A100', 40_960],
  'nvidia-a100-80gb': ['A100', 81_920],
  'nvidia-h100-80gb': ['H100', 81_920],
  'nvidia-h100-mega-80gb': ['H100', 81_920],
  'nvidia-h200-141gb': ['H200', 144_384],
  'nvidia-rtx-pro-6000': ['RTX-PRO-6000', 98_304],
};

/** On demand and as spot: Google rents every type either way, the same in all zones of a region that have it. */
export const offeringsOf = (region: string, shape: MachineShape): Offering[] =>
  (['on_demand', 'spot'] as const).map((capacityType) => offeringOf(region, shape, capacityType));

function offeringOf(region: string, shape: MachineShape, capacityType: CapacityType): Offering {
  const key = { provider: 'gcp', region, zone: '', instanceType: shape.name, capacityType };
  return {
    id: offeringIdOf(key),
    ...key,
    architecture: shape.architecture === 'ARM64' || /^(t2a|c4a)-/.test(shape.name) ? 'arm64' : 'amd64',
    cpuMilli: shape.guestCpus * 1_000,
    memoryMib: shape.memoryMb,
    accelerator: acceleratorOf(shape),
    interruptionBand: null,
  };
}

/** One that is not known has no memory: it satisfies no demand. */
function acceleratorOf({ accelerator }: MachineShape): Accelerator | null {
  if (!accelerator) return null;
  const [model, memoryMib] = ACCELERATORS[accelerator.type] ?? [accelerator.type, 0];
  return { model, countMilli: accelerator.count * 1_000, memoryMib };
}
