import type { FleetChoice, Way } from './fleet.ts';
import type { FleetState, Seats } from './fleet-state.ts';

/** How costs are looked at while one demand is seated: not as they are, so that what pays only together is tried. */
export interface View {
  /**
   * Share of a machine's price that its empty parts are not charged: at 0 a machine costs what it costs, at 1 only the parts that are taken, as
   * if others will fill the rest.
   */
  readonly thrift: number;
  /** A way whose next machine costs nothing, as if somebody else needs it anyway. */
  readonly gift: Way | null;
  /** A way that is not to be used, as if it were not there. */
  readonly without: Way | null;
}

/** Costs as they are. */
export const PLAIN: View = { thrift: 0, gift: null, without: null };

/**
 * The cheapest seats for one demand beside what sits already, by dynamic programming over its offerings: as many replicas as may be, then the
 * least cost.
 */
export function placeDemand(state: FleetState, demand: number, view: View): Seats {
  const banned = new Set<FleetChoice>();
  for (;;) {
    const seats = cheapestSeats(state, demand, { view, banned });
    const crowded = overLimit(state, seats);
    if (crowded.length === 0) return seats;
    for (const choice of crowded) banned.add(choice);
  }
}

interface Search {
  readonly view: View;
  readonly banned: ReadonlySet<FleetChoice>;
}

/**
 * Replicas up to which a demand with both, spread and some on-demand, is seated in one go; above, what must not be on spot is seated first.
 * Higher costs time by the fourth power.
 */
const MAX_SQUARE = 16;

function cheapestSeats(state: FleetState, demand: number, search: Search): Seats {
  const wanted = state.fleet.demands[demand];
  if (!wanted) return [];
  const { replicas, minOnDemand, maxPerZone } = wanted;
  const choices = worthTrying(state, demand, search);
  const spotMost = Math.max(0, replicas - minOnDemand);
  const frame = { state, view: search.view };
  if (minOnDemand === 0 || maxPerZone === null) {
    const groups = maxPerZone === null ? bySpot(choices, replicas, spotMost) : byZone(choices, () => maxPerZone);
    return fill({ ...frame, most: replicas, spotMost: 0 }, groups);
  }
  if (replicas <= MAX_SQUARE)
    return fill(
      { ...frame, most: replicas, spotMost },
      byZone(choices, () => maxPerZone),
    );
  const lasting = fill(
    { ...frame, most: minOnDemand, spotMost: 0 },
    byZone(choices.filter(isLasting), () => maxPerZone),
  );
  return addedTo(lasting, state, (taken) =>
    fill(
      { ...frame, most: spotMost, spotMost: 0 },
      byZone(choices, (zone) => maxPerZone - (taken.get(zone) ?? 0)),
    ),
  );
}

const isLasting = ({ way }: FleetChoice): boolean => way.offering.capacityType !== 'spot';

/** Seats more while these are taken. */
function addedTo(seats: Seats, state: FleetState, more: (takenOf: ReadonlyMap<string, number>) => Seats): Seats {
  const taken = new Map<string, number>();
  for (const { choice, count } of seats) {
    const { zone } = choice.way.offering;
    taken.set(zone, (taken.get(zone) ?? 0) + count * choice.lot);
  }
  state.seat(seats);
  const added = more(taken);
  for (const { choice, count } of seats) state.add(choice, -count);
  return [...seats, ...added];
}

/** Choices that may take so many replicas together. */
interface Group {
  readonly choices: readonly FleetChoice[];
  readonly most: number;
}

const bySpot = (choices: readonly FleetChoice[], replicas: number, spotMost: number): Group[] =>
  spotMost === replicas
    ? [{ choices, most: replicas }]
    : [
        { choices: choices.filter(isLasting), most: replicas },
        { choices: choices.filter((choice) => !isLasting(choice)), most: spotMost },
      ];

const byZone = (choices: readonly FleetChoice[], mostOf: (zone: string) => number): Group[] =>
  [...Map.groupBy(choices, ({ way }) => way.offering.zone)].map(([zone, own]) => ({ choices: own, most: mostOf(zone) }));

interface Frame {
  readonly state: FleetState;
  readonly view: View;
  readonly most: number;
  /** Replicas on spot at most, where they must be counted beside zones; 0 = they need not. */
  readonly spotMost: number;
}

/** Least cost by number of replicas (and of those on spot, where they count), and how it is reached. */
interface Table {
  /** At `replicas × (spotMost + 1) + spot`; Infinity where nothing does it. */
  readonly values: Float64Array;
  readonly seatsAt: (cell: number) => Seats;
}

function fill(frame: Frame, groups: readonly Group[]): Seats {
  const tables = groups.map(({ choices, most }) =>
    choices.reduce((table, choice) => withChoice(table, choice, frame, Math.min(most, frame.most)), emptyTable(frame)),
  );
  const table = tables.slice(1).reduce((so, more) => merged(so, more, frame), tables[0] ?? emptyTable(frame));
  const width = frame.spotMost + 1;
  for (let count = frame.most; count > 0; count -= 1) {
    const row = table.values.subarray(count * width, (count + 1) * width);
    const least = Math.min(...row);
    if (least < Infinity) return table.seatsAt(count * width + row.indexOf(least));
  }
  return [];
}

function emptyTable({ most, spotMost }: Frame): Table {
  const values = new Float64Array((most + 1) * (spotMost + 1)).fill(Infinity);
  values[0] = 0;
  return { values, seatsAt: () => [] };
}

function withChoice(table: Table, choice: FleetChoice, frame: Frame, most: number): Table {
  const width = frame.spotMost + 1;
  const spot = spotOf(choice, frame);
  const step = choice.lot * width + spot;
  const end = (most + 1) * width;
  const values = Float64Array.from(table.values);
  const lots = new Int32Array(values.length);
  for (const [lot, cost] of costsOf(choice, frame, most).entries()) {
    for (let cell = lot * step; lot > 0 && cell < end; cell += 1) {
      const value = (table.values[cell - lot * step] ?? Infinity) + cost;
      const wraps = spot > 0 && cell % width < lot * spot;
      if (wraps || value >= (values[cell] ?? Infinity)) continue;
      values[cell] = value;
      lots[cell] = lot;
    }
  }
  const seatsAt = (cell: number): Seats => {
    const count = lots[cell] ?? 0;
    return count === 0 ? table.seatsAt(cell) : [...table.seatsAt(cell - count * step), { choice, count }];
  };
  return { values, seatsAt };
}

/** Replicas of one lot that count as on spot. */
const spotOf = (choice: FleetChoice, { spotMost }: Frame): number => (spotMost > 0 && !isLasting(choice) ? choice.lot : 0);

/** By number of lots, as far as limits go. */
function costsOf(choice: FleetChoice, { state, view: { thrift, gift } }: Frame, most: number): number[] {
  const { way, units, lot } = choice;
  const price = Number(way.offering.pricePerHour);
  const slack = state.slackOf(way);
  const costs: number[] = [];
  for (let count = 0; count * lot <= most; count += 1) {
    const machines = state.growthOf(choice, count);
    if (machines > slack) break;
    const paid = way === gift ? Math.max(0, machines - 1) : machines;
    costs.push(price * ((1 - thrift) * paid + (thrift * count * units) / way.parts));
  }
  return costs;
}

function merged(table: Table, more: Table, { most, spotMost }: Frame): Table {
  const width = spotMost + 1;
  const values = new Float64Array(table.values.length).fill(Infinity);
  const splits = new Int32Array(values.length);
  for (const [cell, value] of table.values.entries()) {
    if (value === Infinity) continue;
    for (const [added, cost] of more.values.entries()) {
      const sum = cell + added;
      if (Math.floor(cell / width) + Math.floor(added / width) > most) break;
      if (value + cost >= (values[sum] ?? Infinity) || (cell % width) + (added % width) > spotMost) continue;
      values[sum] = value + cost;
      splits[sum] = cell;
    }
  }
  const seatsAt = (cell: number): Seats => [...table.seatsAt(splits[cell] ?? 0), ...more.seatsAt(cell - (splits[cell] ?? 0))];
  return { values, seatsAt };
}

/**
 * Of the choices that are alike for the policy those that nothing beats: room that is paid for already, the cheapest per replica, and
 * smaller machines for the rest. What a limit may cut off beats nothing.
 */
function worthTrying(state: FleetState, demand: number, { banned, view: { gift, without } }: Search): FleetChoice[] {
  const least = new Map<string, number>();
  return (state.fleet.choicesOf[demand] ?? []).filter((choice) => {
    if (banned.has(choice) || choice.way === without) return false;
    const price = Number(choice.way.offering.pricePerHour);
    const unbeaten = price <= (least.get(choice.alike) ?? Infinity);
    if (unbeaten && choice.way.limits.length === 0) least.set(choice.alike, price);
    return unbeaten || choice.way === gift || state.hasRoomLeft(choice.way);
  });
}

/** Choices to do without, because together they break a limit that each alone keeps: all on it but the one with most replicas. */
function overLimit(state: FleetState, seats: Seats): FleetChoice[] {
  state.seat(seats);
  const over = state.fleet.limits.findIndex((_, limit) => state.isOver(limit));
  for (const { choice, count } of seats) state.add(choice, -count);
  if (over < 0) return [];
  const on = seats
    .filter(({ choice }) => choice.way.limits.includes(over))
    .sort((a, b) => b.count - a.count || a.choice.index - b.choice.index);
  return on.slice(1).map(({ choice }) => choice);
}
