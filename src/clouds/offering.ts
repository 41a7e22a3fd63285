import type { Id } from '../kernel/id.ts';
import type { Accelerator } from '../kernel/resources.ts';

export type CapacityType = 'on_demand' | 'spot' | 'reserved';

/** Instance type × region/zone × capacity type: something that can be rented. */
export interface Offering {
  readonly id: Id;
  readonly provider: string;
  readonly region: string;
  /** Empty where the price is the same in every zone. */
  readonly zone: string;
  readonly instanceType: string;
  readonly capacityType: CapacityType;
  readonly architecture: string;
  readonly cpuMilli: number;
  /** Null where the provider does not say. */
  readonly memoryMib: number | null;
  readonly accelerator: Accelerator | null;
  /** AWS: share of spot instances interrupted in the trailing month, as published (`<5%`, `5-10%`, …). */
  readonly interruptionBand: string | null;
}
