import type { CompiledFleet, Way } from './fleet.ts';
import { FleetState, type Seats } from './fleet-state.ts';
import { PLAIN, placeDemand, type View } from './place-demand.ts';

/**
 * How often demands are seated in one search, if that is more than `TRIALS_PER_DEMAND` each. Higher finds the last savings on small fleets,
 * lower answers sooner.
 */
const MIN_TRIALS = 3_000;
const TRIALS_PER_DEMAND = 30;

/** Fleets from this size on are started once for each thrift: starts take trials that mending needs. */
const LARGE_FLEET = 30;

/** Shares of a machine's price that its empty parts are spared while others may still fill them. */
const THRIFTS = [0, 0.5, 0.9, 1];

/** Demands that are seated anew together at most. Higher frees more at once, and comes back worse more often. */
const MAX_TOGETHER = 5;

/** Seats everybody from several starts; the best of them is then taken apart in places and put together anew, for as long as trials last. */
export function searchFleet(fleet: CompiledFleet): FleetState {
  const search = new Search(Math.max(MIN_TRIALS, fleet.demands.length * TRIALS_PER_DEMAND));
  const orders = ordersOf(fleet).slice(0, fleet.demands.length < LARGE_FLEET ? undefined : 1);
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
    for (const demand of order) state.seat(this.#place(state, demand, { thrift, gift: null }));
    for (const demand of order) this.#anew(state, [demand], () => PLAIN);
    return state;
  }

  /** Takes some demands out and seats them in another order, looking at costs in other ways. */
  mend(state: FleetState): void {
    const { length } = state.fleet.demands;
    while (this.#left > 0 && length > 0) {
      const together = 1 + this.#below(Math.min(MAX_TOGETHER, length));
      const demands = new Set(Array.from({ length: together }, () => this.#below(length)));
      const gift = this.#below(2) === 0 ? null : this.#wayOf(state, [...demands][0] ?? 0);
      this.#anew(state, [...demands], () => ({ thrift: THRIFTS[this.#below(THRIFTS.length)] ?? 0, gift }));
    }
  }

  #wayOf({ fleet }: FleetState, demand: number): Way | null {
    const choices = fleet.choicesOf[demand] ?? [];
    return choices[this.#below(choices.length)]?.way ?? null;
  }

  /** Keeps the new seats unless they are worse: an equal plan is another one to go on from. */
  #anew(state: FleetState, demands: readonly number[], viewOf: () => View): void {
    const before = { missing: state.missing, cost: state.cost };
    const old = demands.map((demand) => state.remove(demand));
    for (const demand of demands) state.seat(this.#place(state, demand, viewOf()));
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
