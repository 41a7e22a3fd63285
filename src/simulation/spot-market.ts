import type { Instant } from '../kernel/instant.ts';

/** Availability of one pool of spot capacity as it was recorded. */
export interface SpotTrace {
  readonly pool: string;
  /** Instances up or obtainable, by tick. */
  readonly available: readonly number[];
}

/** Pools that serve the same demand, recorded at the same time. */
export interface SpotGroup {
  readonly name: string;
  /** Time between two samples, in ms. */
  readonly tickMs: number;
  /** As long as the shortest trace. */
  readonly ticks: number;
  readonly traces: readonly SpotTrace[];
}

export interface SpotScenario {
  readonly group: SpotGroup;
  readonly replicas: number;
  /** Price of an on-demand instance over that of a spot instance. */
  readonly onDemandRatio: number;
  /** From a launch until the instance is ready, in ms. It is billed from the launch. */
  readonly launchMs: number;
}

export const endOf = ({ ticks, tickMs }: SpotGroup): Instant => ticks * tickMs;

/** What is obtainable of a pool at an instant: between two samples it is as it was at the earlier one. */
export const availableAt = ({ available }: SpotTrace, { tickMs, ticks }: SpotGroup, at: Instant): number =>
  available[Math.min(ticks - 1, Math.floor(at / tickMs))] ?? 0;

/**
 * The cost of the clairvoyant, in spot-instance-ms: always full, moves at once, takes what spot there is and the rest on demand. No policy that is
 * always full can be cheaper.
 */
export function clairvoyantCost({ group, replicas, onDemandRatio }: SpotScenario): number {
  let cost = 0;
  for (let tick = 0; tick < group.ticks; tick += 1) {
    const obtainable = group.traces.reduce((sum, { available }) => sum + (available[tick] ?? 0), 0);
    const spot = Math.min(replicas, obtainable);
    cost += spot + onDemandRatio * (replicas - spot);
  }
  return cost * group.tickMs;
}
