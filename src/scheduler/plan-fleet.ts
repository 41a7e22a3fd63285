import type { PicoUsdPerHour } from '../kernel/money.ts';
import { compileFleet, type CompiledFleet, type FleetInput, type Way } from './fleet.ts';
import { searchFleet, type SearchEffort } from './search-fleet.ts';

/** Why replicas of a demand have no seat. */
export type FleetShortage = 'NO_OFFERING_FITS' | 'ON_DEMAND_OR_SPREAD' | 'LIMITS' | 'BUDGET';

export interface FleetSeats {
  readonly demand: string;
  readonly offering: string;
  readonly replicas: number;
  /** Replicas that fill a machine. A power of two shares machines with others, any other number has machines alone. */
  readonly perMachine: number;
}

export interface FleetPlan {
  /** Sorted by offering; only those with machines. */
  readonly machines: readonly { readonly offering: string; readonly count: number }[];
  /** Sorted by demand, then offering. */
  readonly seats: readonly FleetSeats[];
  /** Sorted by demand. */
  readonly unplaced: readonly { readonly demand: string; readonly replicas: number; readonly reason: FleetShortage }[];
  /** Exact. */
  readonly costPerHour: PicoUsdPerHour;
  readonly method: 'greedy' | 'exact';
  /**
   * No plan of this kind that seats everybody is cheaper: on the offerings of the input, with machines that are divided by halves or given to one demand
   * alone. Other ways to divide machines, and other offerings, may be. Null where nobody proved it.
   */
  readonly lowerBoundPerHour: PicoUsdPerHour | null;
  /** (cost − bound) / cost; null without a bound. */
  readonly gap: number | null;
}

/** Numbers of machines by offering and who sits where, at the least cost that a search of bounded length finds. The order of the input does not matter. */
export function planFleet(input: FleetInput, effort?: SearchEffort): FleetPlan {
  const fleet = compileFleet(input);
  return planOf(searchFleet(fleet, effort).counts, fleet, { method: 'greedy', lowerBoundPerHour: null });
}

interface Proof {
  readonly method: FleetPlan['method'];
  readonly lowerBoundPerHour: PicoUsdPerHour | null;
}

/** The plan that lots by choice make; costs and machines are counted anew, exactly. */
export function planOf(counts: readonly number[], fleet: CompiledFleet, { method, lowerBoundPerHour }: Proof): FleetPlan {
  const within = withinBudget(counts, fleet);
  const seats = seatsOf(within, fleet);
  const machines = machinesOf(within, fleet);
  const costPerHour = machines.reduce((sum, { way, count }) => sum + way.offering.pricePerHour * BigInt(count), 0n);
  const byOffering = Map.groupBy(machines, ({ way }) => way.offering.key);
  const bound = lowerBoundPerHour !== null && lowerBoundPerHour > costPerHour ? costPerHour : lowerBoundPerHour;
  return {
    machines: [...byOffering].map(([offering, ways]) => ({ offering, count: ways.reduce((sum, { count }) => sum + count, 0) })),
    seats,
    unplaced: unplacedOf(counts, within, fleet),
    costPerHour,
    method,
    lowerBoundPerHour: bound,
    gap: bound === null ? null : costPerHour === 0n ? 0 : Number(costPerHour - bound) / Number(costPerHour),
  };
}

/** Machines by way, in the order of keys. */
export function machinesOf(
  counts: readonly number[],
  { choices, ways }: CompiledFleet,
): { readonly way: Way; readonly count: number }[] {
  const used = ways.map(() => 0);
  for (const { way, units, index } of choices) used[way.index] = (used[way.index] ?? 0) + units * (counts[index] ?? 0);
  return ways.map((way) => ({ way, count: Math.ceil((used[way.index] ?? 0) / way.parts) })).filter(({ count }) => count > 0);
}

/** While the budget is broken, the way that costs most for a replica is given up. */
function withinBudget(counts: readonly number[], fleet: CompiledFleet): readonly number[] {
  const kept = [...counts];
  const { budgetPerHour } = fleet;
  for (;;) {
    const machines = machinesOf(kept, fleet);
    const cost = machines.reduce((sum, { way, count }) => sum + way.offering.pricePerHour * BigInt(count), 0n);
    if (budgetPerHour === null || cost <= budgetPerHour) return kept;
    const seatsIn = (way: Way): number =>
      fleet.choices.reduce((sum, choice) => (choice.way === way ? sum + choice.lot * (kept[choice.index] ?? 0) : sum), 0);
    const dearest = machines
      .map(({ way, count }) => ({ way, price: (Number(way.offering.pricePerHour) * count) / seatsIn(way) }))
      .reduce((worst, one) => (one.price > worst.price ? one : worst));
    giveUp(kept, fleet, dearest.way);
  }
}

function giveUp(kept: number[], { choices }: CompiledFleet, way: Way): void {
  const last = choices.findLast((choice) => choice.way === way && (kept[choice.index] ?? 0) > 0);
  if (last) kept[last.index] = (kept[last.index] ?? 0) - 1;
}

function seatsOf(counts: readonly number[], { choices, demands }: CompiledFleet): FleetSeats[] {
  return choices
    .filter(({ index }) => (counts[index] ?? 0) > 0)
    .map(({ index, demand, way, perMachine, lot }) => ({
      ...{ demand: demands[demand]?.key ?? '', offering: way.offering.key },
      ...{ replicas: lot * (counts[index] ?? 0), perMachine },
    }))
    .sort((a, b) => compare(a.demand, b.demand) || compare(a.offering, b.offering) || a.perMachine - b.perMachine);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function unplacedOf(wished: readonly number[], kept: readonly number[], fleet: CompiledFleet): FleetPlan['unplaced'] {
  return fleet.demands.flatMap(({ key, replicas }, demand) => {
    const seated = (counts: readonly number[]): number =>
      (fleet.choicesOf[demand] ?? []).reduce((sum, { index, lot }) => sum + lot * (counts[index] ?? 0), 0);
    const short = replicas - seated(kept);
    if (short === 0) return [];
    return [
      { demand: key, replicas: short, reason: seated(wished) > seated(kept) ? ('BUDGET' as const) : shortageOf(fleet, demand) },
    ];
  });
}

/** What stands in the way even of a demand that is alone. */
function shortageOf(fleet: CompiledFleet, demand: number): FleetShortage {
  const choices = fleet.choicesOf[demand] ?? [];
  if (choices.length === 0) return 'NO_OFFERING_FITS';
  const { replicas = 0, minOnDemand = 0, maxPerZone } = fleet.demands[demand] ?? {};
  const zones = new Set(choices.map(({ way }) => way.offering.zone)).size;
  const onlySpot = choices.every(({ way }) => way.offering.capacityType === 'spot');
  const spread = zones * (maxPerZone ?? replicas);
  return spread < replicas || (minOnDemand > 0 && onlySpot) ? 'ON_DEMAND_OR_SPREAD' : 'LIMITS';
}
