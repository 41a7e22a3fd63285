import type { HeldInstance, SpotPlan } from '../scheduler/plan-spot.ts';
import type { SpotContestant, SpotRun, SpotView } from './simulate-spot.ts';
import type { SpotScenario } from './spot-market.ts';

/** No spot at all. */
export const onDemandOnly: SpotContestant = {
  ...{ policy: 'on-demand', setting: '' },
  start: fixed(({ replicas }) => ({ spot: 0, onDemand: () => replicas })),
};

/** All on spot, and beside it so many on-demand instances that never leave. */
export const fixedStandby = (count: number): SpotContestant => ({
  ...{ policy: 'fixed standby', setting: `${count} on demand` },
  start: fixed(({ replicas }) => ({ spot: replicas, onDemand: () => count })),
});

/** Spot in one zone, and on demand what it does not give. */
export const singleZone = (zone: string): SpotContestant => ({
  ...{ policy: 'single zone', setting: zone },
  start: fixed(({ replicas }) => ({ spot: replicas, zones: [zone], onDemand: (readySpot) => replicas - readySpot })),
});

/**
 * SpotHedge as published (Mao et al., "SkyServe", EuroSys 2025): replicas and `extra` more on spot, round robin over zones that are not known to
 * be preempting (all of them again once fewer than two are left), and on-demand for what of that is not ready, at most the wished number.
 */
export const spotHedge = (extra: number): SpotContestant => ({
  ...{ policy: 'spothedge', setting: `${extra} extra` },
  start: (scenario) => {
    const zones = new HedgedZones(scenario.group.traces.map(({ pool }) => pool));
    const wanted = scenario.replicas + extra;
    return (view) => {
      zones.learn(view);
      const launches = zones.launches(view, wanted);
      const onDemand = Math.min(scenario.replicas, wanted - readySpot(view));
      return withOnDemand(view, launches, onDemand);
    };
  },
});

class HedgedZones {
  readonly #all: readonly string[];
  readonly #preempting = new Set<string>();

  constructor(all: readonly string[]) {
    this.#all = all;
  }

  learn({ now, held, lost, refused }: SpotView): void {
    for (const { pool } of lost) if (pool !== null) this.#preempting.add(pool);
    for (const pool of refused) this.#preempting.add(pool);
    for (const { pool, readyAt } of held) if (pool !== null && readyAt === now) this.#preempting.delete(pool);
    if (this.#all.length - this.#preempting.size < 2) this.#preempting.clear();
  }

  launches(view: SpotView, wanted: number): string[] {
    return spread(
      view,
      this.#all.filter((zone) => !this.#preempting.has(zone)),
      wanted,
    );
  }
}

interface FixedWish {
  readonly spot: number;
  readonly zones?: readonly string[];
  readonly onDemand: (readySpot: number) => number;
}

function fixed(wishOf: (scenario: SpotScenario) => FixedWish): (scenario: SpotScenario) => SpotRun {
  return (scenario) => {
    const { spot, zones = scenario.group.traces.map(({ pool }) => pool), onDemand } = wishOf(scenario);
    return (view) => withOnDemand(view, spread(view, zones, spot), onDemand(readySpot(view)));
  };
}

/** Round robin: the next one goes where fewest are. */
function spread({ held, refused }: SpotView, zones: readonly string[], wanted: number): string[] {
  const counts = new Map(zones.map((zone) => [zone, held.filter(({ pool }) => pool === zone).length]));
  const open = zones.filter((zone) => !refused.has(zone));
  const launches: string[] = [];
  for (let total = held.filter(isSpot).length; total < wanted && open.length > 0; total += 1) {
    const next = open.reduce((least, zone) => ((counts.get(zone) ?? 0) < (counts.get(least) ?? 0) ? zone : least));
    counts.set(next, (counts.get(next) ?? 0) + 1);
    launches.push(next);
  }
  return launches;
}

/** What is not ready yet is let go first. */
function withOnDemand({ held }: SpotView, launches: readonly string[], wanted: number): SpotPlan {
  const present = held.filter((one) => !isSpot(one)).sort((a, b) => b.readyAt - a.readyAt);
  const missing = Math.max(0, wanted - present.length);
  const stops = present.slice(0, Math.max(0, present.length - Math.max(0, wanted)));
  return { launches: [...launches, ...Array<null>(missing).fill(null)], stops: stops.map(({ id }) => id), wakeAt: null };
}

const isSpot = ({ pool }: HeldInstance): boolean => pool !== null;

const readySpot = ({ held, now }: SpotView): number => held.filter((one) => isSpot(one) && one.readyAt <= now).length;
