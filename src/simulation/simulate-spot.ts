import type { Instant } from '../kernel/instant.ts';
import type { HeldInstance, SpotPlan } from '../scheduler/plan-spot.ts';
import { availableAt, endOf, type SpotScenario, type SpotTrace } from './spot-market.ts';

/** What a policy is shown at each moment at which something has changed. */
export interface SpotView {
  readonly now: Instant;
  readonly held: readonly HeldInstance[];
  /** Taken away at this moment. */
  readonly lost: readonly HeldInstance[];
  /** Pools that had nothing more when they were last asked, since the last sample of the market. */
  readonly refused: ReadonlySet<string>;
}

/** One run of a policy. It is asked again after a refusal, until nothing is refused. */
export type SpotRun = (view: SpotView) => SpotPlan;

/** A policy at one of its settings. */
export interface SpotContestant {
  readonly policy: string;
  readonly setting: string;
  readonly start: (scenario: SpotScenario) => SpotRun;
}

export interface SpotOutcome {
  /** In spot-instance-ms. */
  readonly cost: number;
  /** Share of the wished replica time that was ready. */
  readonly filledShare: number;
  /** The longest time that a wished replica was missing, in ms; what gets ready takes the place of what is missing longest. */
  readonly worstLossMs: number;
  /** Launches after the start. */
  readonly moves: number;
}

/** Instances of the start are ready at once. Of a pool that shrinks, the youngest are taken. */
export function simulateSpot(scenario: SpotScenario, run: SpotRun): SpotOutcome {
  const world = new SpotWorld(scenario);
  const end = endOf(scenario.group);
  while (world.now < end) {
    world.shrink();
    world.act(run);
    world.advance();
  }
  return world.outcome();
}

class SpotWorld {
  readonly #scenario: SpotScenario;
  readonly #traces: ReadonlyMap<string, SpotTrace>;
  now: Instant = 0;
  #held: readonly HeldInstance[] = [];
  #lost: readonly HeldInstance[] = [];
  #refused = new Set<string>();
  #launched = 0;
  #moves = 0;
  #cost = 0;
  #missing = 0;
  /** Since when each missing replica is missing, the longest first. */
  #missingSince: Instant[] = [];
  #worst = 0;

  constructor(scenario: SpotScenario) {
    this.#scenario = scenario;
    this.#traces = new Map(scenario.group.traces.map((trace) => [trace.pool, trace]));
  }

  /** At a sample of the market: what is no longer there is taken away. */
  shrink(): void {
    this.#lost = [];
    if (this.now % this.#scenario.group.tickMs !== 0) return;
    this.#refused = new Set();
    for (const [pool, trace] of this.#traces) {
      const here = this.#held.filter((one) => one.pool === pool);
      const taken = here.slice(availableAt(trace, this.#scenario.group, this.now));
      this.#lost = [...this.#lost, ...taken];
    }
    this.#held = this.#held.filter((one) => !this.#lost.includes(one));
  }

  act(run: SpotRun): void {
    for (;;) {
      const { launches, stops } = run({ now: this.now, held: this.#held, lost: this.#lost, refused: new Set(this.#refused) });
      this.#lost = [];
      const granted = this.#launch(launches);
      if (granted) {
        this.#held = this.#held.filter(({ id }) => !stops.includes(id));
        return;
      }
    }
  }

  /** False at the first refusal. */
  #launch(launches: SpotPlan['launches']): boolean {
    for (const pool of launches) {
      if (pool !== null && !this.#isObtainable(pool)) {
        this.#refused.add(pool);
        return false;
      }
      this.#launched += 1;
      if (this.now > 0) this.#moves += 1;
      const readyAt = this.now === 0 ? 0 : this.now + this.#scenario.launchMs;
      this.#held = [...this.#held, { id: String(this.#launched), pool, readyAt }];
    }
    return true;
  }

  #isObtainable(pool: string): boolean {
    const trace = this.#traces.get(pool);
    const here = this.#held.filter((one) => one.pool === pool).length;
    return trace !== undefined && here < availableAt(trace, this.#scenario.group, this.now);
  }

  /** To the next sample or the next instance that gets ready, whichever is first. */
  advance(): void {
    const { group, onDemandRatio, replicas } = this.#scenario;
    const sample = (Math.floor(this.now / group.tickMs) + 1) * group.tickMs;
    const next = Math.min(sample, ...this.#held.map(({ readyAt }) => readyAt).filter((at) => at > this.now));
    const elapsed = next - this.now;
    const spot = this.#held.filter(({ pool }) => pool !== null).length;
    const missing = replicas - this.#held.filter(({ readyAt }) => readyAt <= this.now).length;
    this.#cost += elapsed * (spot + onDemandRatio * (this.#held.length - spot));
    this.#missing += elapsed * Math.max(0, missing);
    // What got ready at this moment made up for older losses before new ones came.
    this.#missingSince.splice(0, this.#held.filter(({ readyAt }) => readyAt === this.now).length);
    this.#missingSince.splice(0, this.#missingSince.length - Math.max(0, missing));
    while (this.#missingSince.length < missing) this.#missingSince.push(this.now);
    this.#worst = Math.max(this.#worst, next - (this.#missingSince[0] ?? next));
    this.now = next;
  }

  outcome(): SpotOutcome {
    return {
      cost: this.#cost,
      filledShare: 1 - this.#missing / (this.#scenario.replicas * endOf(this.#scenario.group)),
      worstLossMs: this.#worst,
      moves: this.#moves,
    };
  }
}
