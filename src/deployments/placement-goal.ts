import { parseUsd, PICO_PER_USD } from '../kernel/money.ts';
import type { Demand } from '../scheduler/demand.ts';
import type { PlacementWishes } from './deployment.ts';

/** What an hour without one replica is taken to be worth where the wish does not say. Higher: spot is shunned; lower: its price alone decides. */
const OUTAGE_COST = PICO_PER_USD;
/** A machine is rented, boots and joins. Higher: spot looks riskier; lower: cheaper. */
const MACHINE_MS = 120_000;
/** A replica starts, its artifact left out, while none of the version was seen to. Higher and lower likewise. */
const START_MS = 30_000;
/** An artifact is fetched so fast: 100 MiB per s. Higher: large models look quick to move; lower: they shun spot. */
const BYTES_PER_MS = 104_858;

export interface KnownStart {
  /** From the start of a replica of the version until it served, as seen lately; null = none was. */
  readonly startMs: number | null;
  /** That a new machine fetches. */
  readonly artifactBytes: number;
}

/** What an interruption costs: how long a replica is away, and what that is worth to the owner. */
export const goalOf = (
  { outageCostPerHour }: Pick<PlacementWishes, 'outageCostPerHour'>,
  { startMs, artifactBytes }: KnownStart,
): Required<Pick<Demand, 'coldStartMs' | 'penaltyPerHour'>> => ({
  coldStartMs: MACHINE_MS + Math.round(startMs ?? START_MS + artifactBytes / BYTES_PER_MS),
  penaltyPerHour: (outageCostPerHour === undefined ? null : parseUsd(outageCostPerHour)) ?? OUTAGE_COST,
});
