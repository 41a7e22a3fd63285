import type { PicoUsdPerHour } from '../../kernel/money.ts';

/** What machines cost, by the API. */
export interface NodePrices {
  /** Of each node of the cluster whose price is known, by its name. Throws when nobody answers. Safe to repeat. */
  read(signal: AbortSignal): Promise<ReadonlyMap<string, PicoUsdPerHour>>;
}
