import type { Instant } from '../kernel/instant.ts';

/** Availability of one pool of spot capacity as it was recorded, or as it was made up. */
export interface SpotTrace {
  readonly pool: string;
  /** Instances up or obtainable, by tick. */
  readonly available: readonly number[];
  /** Of an instance, by tick, in spot prices; absent = 1 all the time. */
  readonly prices?: readonly number[];
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
  /** Price of an on-demand instance over that of a spot instance; where spot prices move, over their mean. */
  readonly onDemandRatio: number;
  /** From a launch until the instance is ready, in ms. It is billed from the launch. */
  readonly launchMs: number;
}

export const endOf = ({ ticks, tickMs }: SpotGroup): Instant => ticks * tickMs;

/** What is obtainable of a pool at an instant: between two samples it is as it was at the earlier one. */
export const availableAt = ({ available }: SpotTrace, group: SpotGroup, at: Instant): number => available[tickAt(group, at)] ?? 0;

/** What an instance of a pool costs at an instant. */
export const priceAt = ({ prices }: SpotTrace, group: SpotGroup, at: Instant): number => prices?.[tickAt(group, at)] ?? 1;

const tickAt = ({ tickMs, ticks }: SpotGroup, at: Instant): number => Math.min(ticks - 1, Math.floor(at / tickMs));

/** The start, all samples that differ from the one before in any pool, and the end. */
export function changesOf(group: SpotGroup): Instant[] {
  const { ticks, tickMs, traces } = group;
  const changed = new Uint8Array(ticks + 1);
  changed[0] = changed[ticks] = 1;
  for (const series of traces.flatMap(({ available, prices }) => [available, prices ?? []]))
    for (let tick = 1; tick < ticks; tick += 1) if (series[tick] !== series[tick - 1]) changed[tick] = 1;
  const at: Instant[] = [];
  for (let tick = 0; tick <= ticks; tick += 1) if (changed[tick] === 1) at.push(tick * tickMs);
  return at;
}

/**
 * The cost of the clairvoyant, in spot-instance-ms: always full, moves at once, takes the cheapest spot there is and the rest on demand. No policy that
 * is always full can be cheaper.
 */
export function clairvoyantCost({ group, replicas, onDemandRatio }: SpotScenario): number {
  const changes = changesOf(group);
  return changes.slice(0, -1).reduce((sum, at, n) => {
    const offers = group.traces.map((trace) => ({ price: priceAt(trace, group, at), count: availableAt(trace, group, at) }));
    let missing = replicas;
    let cost = 0;
    for (const { price, count } of offers.sort((a, b) => a.price - b.price)) {
      const taken = price < onDemandRatio ? Math.min(missing, count) : 0;
      cost += taken * price;
      missing -= taken;
    }
    return sum + (cost + missing * onDemandRatio) * ((changes[n + 1] ?? at) - at);
  }, 0);
}
