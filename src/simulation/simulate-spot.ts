import type { Instant } from '../kernel/instant.ts';
import type { HeldInstance, SpotPlan } from '../scheduler/plan-spot.ts';
import { availableAt, changesOf, endOf, priceAt, type SpotScenario, type SpotTrace } from './spot-market.ts';

/** What a policy is shown at each moment at which something has changed. */
export interface SpotView {
  readonly now: Instant;
  readonly held: readonly HeldInstance[];
  /** Taken away at this moment. */
  readonly lost: readonly HeldInstance[];
  /** Pools that had nothing more when they were last asked, since the last sample of the market. */
  readonly refused: ReadonlySet<string>;
  /** Of an instance of each pool now, in spot prices, in the order of the traces. */
  readonly prices: readonly number[];
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
  /** Samples of pools, and launches, refusals, losses, stops and instances that got ready. */
  readonly events: number;
}

/**
 * Instances of the start are ready at once. Of a pool that shrinks, the youngest are taken. Samples at which nothing changes are passed over: a policy
 * that is told the same twice answers the same, or says when it wants to be asked again (`wakeAt`).
 */
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
  readonly #changes: readonly Instant[];
  #passed = 0;
  now: Instant = 0;
  #held: readonly HeldInstance[] = [];
  #lost: readonly HeldInstance[] = [];
  readonly #refused = new Set<string>();
  #refusedUntil: Instant = 0;
  #wakeAt: Instant | null = null;
  #launched = 0;
  #moves = 0;
  #events: number;
  #cost = 0;
  #missing = 0;
  /** Since when each missing replica is missing, the longest first. */
  #missingSince: Instant[] = [];
  #worst = 0;

  constructor(scenario: SpotScenario) {
    this.#scenario = scenario;
    this.#traces = new Map(scenario.group.traces.map((trace) => [trace.pool, trace]));
    this.#changes = changesOf(scenario.group);
    this.#events = scenario.group.ticks * scenario.group.traces.length;
  }

  /** What is no longer there is taken away. */
  shrink(): void {
    this.#lost = [];
    if (this.now >= this.#refusedUntil) this.#refused.clear();
    if (this.now !== this.#changes[this.#passed]) return;
    for (const [pool, trace] of this.#traces) {
      const here = this.#held.filter((one) => one.pool === pool);
      const available = availableAt(trace, this.#scenario.group, this.now);
      if (here.length > available) this.#lost = [...this.#lost, ...here.slice(available)];
    }
    if (this.#lost.length > 0) this.#held = this.#held.filter((one) => !this.#lost.includes(one));
    this.#events += this.#lost.length;
  }

  act(run: SpotRun): void {
    const { group } = this.#scenario;
    const prices = group.traces.map((trace) => priceAt(trace, group, this.now));
    for (;;) {
      const plan = run({ now: this.now, held: this.#held, lost: this.#lost, refused: new Set(this.#refused), prices });
      this.#lost = [];
      const isGranted = this.#launch(plan.launches);
      if (!isGranted) continue;
      if (plan.stops.length > 0) this.#held = this.#held.filter(({ id }) => !plan.stops.includes(id));
      this.#events += plan.stops.length;
      this.#wakeAt = plan.wakeAt;
      // At the start everything is ready at once: before time goes on a policy sees what it has.
      if (this.now > 0 || plan.launches.length + plan.stops.length === 0) return;
    }
  }

  /** False at the first refusal. */
  #launch(launches: SpotPlan['launches']): boolean {
    const { tickMs } = this.#scenario.group;
    for (const pool of launches) {
      this.#events += 1;
      if (pool !== null && !this.#isObtainable(pool)) {
        this.#refused.add(pool);
        this.#refusedUntil = (Math.floor(this.now / tickMs) + 1) * tickMs;
        return false;
      }
      this.#launched += 1;
      if (this.now > 0) this.#moves += 1;
      const readyAt = this.now === 0 ? 0 : this.now + this.#scenario.launchMs;
      this.#held = [...this.#held, { id: String(this.#launched), pool, readyAt, leavesAt: null }];
    }
    return true;
  }

  #isObtainable(pool: string): boolean {
    const trace = this.#traces.get(pool);
    const here = this.#held.filter((one) => one.pool === pool).length;
    return trace !== undefined && here < availableAt(trace, this.#scenario.group, this.now);
  }

  /** To what happens next: the market changes, an instance gets ready, the policy wants to be asked. */
  advance(): void {
    const next = this.#next();
    const elapsed = next - this.now;
    const { replicas } = this.#scenario;
    let ready = 0;
    let fresh = 0;
    for (const { readyAt } of this.#held) {
      if (readyAt <= this.now) ready += 1;
      if (readyAt === this.now) fresh += 1;
    }
    const missing = Math.max(0, replicas - ready);
    this.#events += fresh;
    this.#cost += elapsed * this.#price();
    this.#missing += elapsed * missing;
    // What got ready at this moment made up for older losses before new ones came.
    this.#missingSince.splice(0, fresh);
    this.#missingSince.splice(0, this.#missingSince.length - missing);
    while (this.#missingSince.length < missing) this.#missingSince.push(this.now);
    this.#worst = Math.max(this.#worst, next - (this.#missingSince[0] ?? next));
    this.now = next;
  }

  #next(): Instant {
    while ((this.#changes[this.#passed] ?? Infinity) <= this.now) this.#passed += 1;
    let next = this.#changes[this.#passed] ?? endOf(this.#scenario.group);
    if (this.#wakeAt !== null && this.#wakeAt > this.now) next = Math.min(next, this.#wakeAt);
    for (const { readyAt } of this.#held) if (readyAt > this.now && readyAt < next) next = readyAt;
    return next;
  }

  /** Of all that is held, per ms. */
  #price(): number {
    const { group, onDemandRatio } = this.#scenario;
    let price = 0;
    for (const { pool } of this.#held) {
      const trace = pool === null ? undefined : this.#traces.get(pool);
      price += trace === undefined ? onDemandRatio : priceAt(trace, group, this.now);
    }
    return price;
  }

  outcome(): SpotOutcome {
    return {
      cost: this.#cost,
      filledShare: 1 - this.#missing / (this.#scenario.replicas * endOf(this.#scenario.group)),
      worstLossMs: this.#worst,
      moves: this.#moves,
      events: this.#events,
    };
  }
}
