import type { CompiledFleet, FleetChoice, Way } from './fleet.ts';

/** Who sits where so far; cheap to change and to change back. Costs are floats here: they steer the search, they are never the answer. */
export class FleetState {
  readonly fleet: CompiledFleet;
  /** Lots by choice. */
  readonly counts: number[];
  /** Taken parts by way. */
  readonly #used: number[];
  readonly #limitUsed: number[];
  readonly #unplaced: number[];
  #cost = 0;
  #missing: number;

  constructor(fleet: CompiledFleet) {
    this.fleet = fleet;
    this.counts = fleet.choices.map(() => 0);
    this.#used = fleet.ways.map(() => 0);
    this.#limitUsed = fleet.limits.map(() => 0);
    this.#unplaced = fleet.demands.map(({ replicas }) => replicas);
    this.#missing = this.#unplaced.reduce((sum, count) => sum + count, 0);
  }

  /** Replicas without a seat. */
  get missing(): number {
    return this.#missing;
  }

  /** Of all machines, in pico-USD per hour, as a float. */
  get cost(): number {
    return this.#cost;
  }

  machinesOf(way: Way): number {
    return Math.ceil((this.#used[way.index] ?? 0) / way.parts);
  }

  hasRoomLeft(way: Way): boolean {
    return (this.#used[way.index] ?? 0) % way.parts > 0;
  }

  /** Machines that `more` lots add. */
  growthOf({ way, units }: FleetChoice, more: number): number {
    return Math.ceil(((this.#used[way.index] ?? 0) + more * units) / way.parts) - this.machinesOf(way);
  }

  /** Machines that limits leave for a way. */
  slackOf(way: Way): number {
    return way.limits.reduce(
      (slack, limit) => Math.min(slack, (this.fleet.limits[limit] ?? 0) - (this.#limitUsed[limit] ?? 0)),
      Infinity,
    );
  }

  isOver(limit: number): boolean {
    return (this.#limitUsed[limit] ?? 0) > (this.fleet.limits[limit] ?? 0);
  }

  add(choice: FleetChoice, more: number): void {
    const { way, demand, units, index, lot } = choice;
    const before = this.machinesOf(way);
    this.counts[index] = (this.counts[index] ?? 0) + more;
    this.#used[way.index] = (this.#used[way.index] ?? 0) + more * units;
    this.#unplaced[demand] = (this.#unplaced[demand] ?? 0) - more * lot;
    this.#missing -= more * lot;
    const grown = this.machinesOf(way) - before;
    if (grown === 0) return;
    this.#cost += grown * Number(way.offering.pricePerHour);
    for (const limit of way.limits) this.#limitUsed[limit] = (this.#limitUsed[limit] ?? 0) + grown;
  }

  /** Takes a demand's replicas out and says where they were. */
  remove(demand: number): Seats {
    const seats: { choice: FleetChoice; count: number }[] = [];
    for (const choice of this.fleet.choicesOf[demand] ?? []) {
      const count = this.counts[choice.index] ?? 0;
      if (count > 0) seats.push({ choice, count });
    }
    for (const { choice, count } of seats) this.add(choice, -count);
    return seats;
  }

  seat(seats: Seats): void {
    for (const { choice, count } of seats) this.add(choice, count);
  }
}

export type Seats = readonly { readonly choice: FleetChoice; readonly count: number }[];
