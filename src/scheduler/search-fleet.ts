import type { CompiledFleet, FleetChoice, Way } from './fleet.ts';
import { FleetState, type Seats } from './fleet-state.ts';
import { PLAIN, placeDemand, type View } from './place-demand.ts';

/** How often demands are seated in one search of a small fleet. Higher finds the last savings, lower answers sooner. */
const SMALL_TRIALS = 6_000;

/** The same for each demand of a large fleet, where one trial takes longer. */
const TRIALS_PER_DEMAND = 30;

/** Fleets from this size on are started in one order only: starts take trials that mending needs. */
const LARGE_FLEET = 30;

/** Shares of a machine's price that its empty parts are spared while others may still fill them. */
const THRIFTS = [0, 0.5, 0.9, 1];

/** Demands that are seated anew together at most. Higher frees more at once, and comes back worse more often. */
const MAX_TOGETHER = 5;

/** `brief` seats everybody once and leaves it at that: a tenth of the time, for where nothing else goes on meanwhile. */
export type SearchEffort = 'thorough' | 'brief';

/** Seats everybody from several starts; the best of them is then taken apart in places and put together anew, for as long as trials last. */
export function searchFleet(fleet: CompiledFleet, effort: SearchEffort = 'thorough'): FleetState {
  const { length } = fleet.demands;
  if (effort === 'brief') return new Search(0).start(fleet, ordersOf(fleet)[0] ?? [], 0);
  const search = new Search(length < LARGE_FLEET ? SMALL_TRIALS : length * TRIALS_PER_DEMAND);
  const orders = ordersOf(fleet).slice(0, length < LARGE_FLEET ? undefined : 1);
  const states = orders.flatMap((order) => THRIFTS.map((thrift) => search.start(fleet, order, thrift)));
  const best = states.reduce((so, state) => (isBetter(state, so) ? state : so));
  search.mend(best);
  return best;
}

/** Largest first, as packing goes; smallest first; those with fewest offerings first. */
function ordersOf(fleet: CompiledFleet): number[][] {
  const demands = fleet.demands.map((_, demand) => demand);
  const least = demands.map((demand) => leastCostOf(fleet, demand));
  const choices = (demand: number): number => fleet.choicesOf[demand]?.length ?? 0;
  const bySize = [...demands].sort((a, b) => (least[b] ?? 0) - (least[a] ?? 0) || a - b);
  return [bySize, [...bySize].reverse(), [...demands].sort((a, b) => choices(a) - choices(b) || a - b)];
}

const leastCostOf = ({ choicesOf, demands }: CompiledFleet, demand: number): number =>
  (demands[demand]?.replicas ?? 0) *
  Math.min(...(choicesOf[demand] ?? []).map(({ way, perMachine }) => Number(way.offering.pricePerHour) / perMachine));

interface Standing {
  readonly missing: number;
  readonly cost: number;
}

const isBetter = (a: Standing, b: Standing): boolean => a.missing < b.missing || (a.missing === b.missing && a.cost < b.cost);

class Search {
  #left: number;
  #state = 1;

  constructor(trials: number) {
    this.#left = trials;
  }

  start(fleet: CompiledFleet, order: readonly number[], thrift: number): FleetState {
    const state = new FleetState(fleet);
    for (const demand of order) state.seat(this.#place(state, demand, { ...PLAIN, thrift }));
    for (const demand of order) this.#anew(state, [demand], () => PLAIN);
    return state;
  }

  /** Takes some demands out and seats them in another order, looking at costs in other ways. */
  mend(state: FleetState): void {
    const { length } = state.fleet.demands;
    while (this.#left > 0 && length > 0) {
      const together = 1 + this.#below(Math.min(MAX_TOGETHER, length));
      const demands = new Set(Array.from({ length: together }, () => this.#below(length)));
      this.#anew(state, [...demands], this.#views(state, [...demands][0] ?? 0));
    }
  }

  /** As costs are but for thrift; the first as if a machine were there anyway; or all without a way that the first is on. */
  #views(state: FleetState, first: number): (at: number) => View {
    const { fleet, counts } = state;
    const choices = fleet.choicesOf[first] ?? [];
    const kind = this.#below(3);
    const gift = kind === 1 ? this.#wayOf(choices) : null;
    const without = kind === 2 ? this.#wayOf(choices.filter(({ index }) => (counts[index] ?? 0) > 0)) : null;
    return (at) => ({ thrift: THRIFTS[this.#below(THRIFTS.length)] ?? 0, gift: at === 0 ? gift : null, without });
  }

  #wayOf(choices: readonly FleetChoice[]): Way | null {
    return choices[this.#below(choices.length)]?.way ?? null;
  }

  /** Keeps the new seats unless they are worse: an equal plan is another one to go on from. */
  #anew(state: FleetState, demands: readonly number[], viewOf: (at: number) => View): void {
    const before = { missing: state.missing, cost: state.cost };
    const old = demands.map((demand) => state.remove(demand));
    for (const [at, demand] of demands.entries()) state.seat(this.#place(state, demand, viewOf(at)));
    if (!isBetter(before, state)) return;
    for (const demand of demands) state.remove(demand);
    for (const seats of old) state.seat(seats);
  }

  #place(state: FleetState, demand: number, view: View): Seats {
    this.#left -= 1;
    return placeDemand(state, demand, view);
  }

  /** The same numbers in every run (a linear congruential generator): the search must not depend on chance. */
  #below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
}
