/** Accelerators that one replica needs or that an offering has. */
export interface Accelerator {
  /** Short model name as in the price book: `T4`, `A100`, `H100`. */
  readonly model: string;
  /** How many; a fraction for shared devices. Thousandths, so that no float enters: 1000 = one whole device. */
  readonly countMilli: number;
  /** Nominal memory of one whole device, in MiB; 0 where unknown. */
  readonly memoryMib: number;
}

/** What one replica needs. */
export interface Resources {
  /** Thousandths of a CPU. */
  readonly cpuMilli: number;
  readonly memoryMib: number;
  readonly accelerator: Accelerator | null;
}
