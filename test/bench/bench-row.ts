/** One measured figure; `goal` is what the project promises for it. */
export interface BenchRow {
  readonly name: string;
  readonly value: number | string;
  readonly unit: string;
  readonly goal?: string;
}

/** What every `*.bench.ts` exports. */
export interface Bench {
  run(): Promise<readonly BenchRow[]>;
}
