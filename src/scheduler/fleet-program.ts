import { PICO_PER_USD } from '../kernel/money.ts';
import type { CompiledFleet, FleetChoice, Way } from './fleet.ts';
import type { IntegerProgram, ProgramRow } from './fleet-solver.port.ts';
import { machinesOf } from './plan-fleet.ts';

/**
 * The plan as an integer program: lots by choice, then machines by way, then, where not everybody can be seated, missing replicas by demand.
 * Costs are in USD per hour, as floats: the answer's cost is counted anew.
 */
export interface FleetProgram {
  readonly program: IntegerProgram;
  readonly choices: readonly FleetChoice[];
  readonly ways: readonly Way[];
}

/** What a missing replica costs, in USD per hour: more than any machine that could seat it. */
const MISSING_FACTOR = 100;

export interface ProgramScope {
  /** Choices that count; the rest is left out. */
  readonly choices: readonly FleetChoice[];
  /** Whether replicas may go without a seat. */
  readonly mayMiss: boolean;
}

export function makeFleetProgram(fleet: CompiledFleet, { choices, mayMiss }: ProgramScope): FleetProgram {
  const ways = [...new Set(choices.map(({ way }) => way))].sort((a, b) => a.index - b.index);
  const columns: Columns = {
    choice: new Map(choices.map((choice, column) => [choice, column])),
    way: new Map(ways.map((way, at) => [way, choices.length + at])),
    missing: (demand) => (mayMiss ? [choices.length + ways.length + demand] : []),
  };
  const prices = ways.map(({ offering }) => usdOf(offering.pricePerHour));
  const missing = mayMiss ? fleet.demands.map(() => MISSING_FACTOR * Math.max(1, ...prices)) : [];
  const program: IntegerProgram = {
    costs: [...choices.map(() => 0), ...prices, ...missing],
    upper: [
      ...choices.map(({ most }) => most),
      ...ways.map((way) => mostOf(way, fleet, choices)),
      ...(mayMiss ? fleet.demands.map(({ replicas }) => replicas) : []),
    ],
    rows: [
      ...demandRows(fleet, choices, columns),
      ...ways.map((way) => capacityRow(way, choices, columns)),
      ...limitRows(fleet, ways, columns),
    ].filter(({ columns: touched }) => touched.length > 0),
  };
  return { program, choices, ways };
}

/**
 * The same with fractions allowed, so that machines need no columns: a replica costs its part of one. Columns are the choices. Its optimum is a lower
 * bound of every plan that seats everybody.
 */
export function makeFleetRelaxation(fleet: CompiledFleet, choices: readonly FleetChoice[]): IntegerProgram {
  const columns: Columns = {
    choice: new Map(choices.map((choice, column) => [choice, column])),
    way: new Map(),
    missing: () => [],
  };
  const onLimit = fleet.limits.map((): number[] => []);
  for (const [column, { way }] of choices.entries()) for (const limit of way.limits) onLimit[limit]?.push(column);
  const parts = choices.map(({ units, way }) => units / way.parts);
  return {
    costs: choices.map(costOfLot),
    // The rows keep lots of one replica from being too many.
    upper: choices.map(({ way, most }) => (way.use === 'divided' ? Infinity : most)),
    rows: [
      ...demandRows(fleet, choices, columns),
      ...onLimit.map((touched, limit) => ({
        ...{ lower: 0, upper: fleet.limits[limit] ?? 0, columns: touched },
        values: touched.map((column) => parts[column] ?? 0),
      })),
    ].filter(({ columns: touched }) => touched.length > 0),
  };
}

interface Columns {
  readonly choice: ReadonlyMap<FleetChoice, number>;
  readonly way: ReadonlyMap<Way, number>;
  readonly missing: (demand: number) => readonly number[];
}

/** Its part of a machine's price, in USD per hour. */
export const costOfLot = ({ way, units }: FleetChoice): number => (usdOf(way.offering.pricePerHour) * units) / way.parts;

const usdOf = (pico: bigint): number => Number(pico) / Number(PICO_PER_USD);

/** No more machines than all who may sit there would fill, and than a limit leaves. */
function mostOf(way: Way, { limits }: CompiledFleet, choices: readonly FleetChoice[]): number {
  const units = choices.reduce((sum, choice) => (choice.way === way ? sum + choice.units * choice.most : sum), 0);
  return Math.min(Math.ceil(units / way.parts), ...way.limits.map((limit) => limits[limit] ?? 0));
}

/** Everybody sits or is missing; few enough on spot and in each zone. */
function demandRows({ demands }: CompiledFleet, choices: readonly FleetChoice[], columns: Columns): ProgramRow[] {
  const byDemand = Map.groupBy(choices, ({ demand }) => demand);
  const columnsOf = (some: readonly FleetChoice[]): number[] => some.map((choice) => columns.choice.get(choice) ?? 0);
  const atMost = (some: readonly FleetChoice[], upper: number): ProgramRow => ({
    ...{ lower: 0, upper, columns: columnsOf(some) },
    values: some.map(({ lot }) => lot),
  });
  return demands.flatMap(({ replicas, minOnDemand, maxPerZone }, demand) => {
    const own = byDemand.get(demand) ?? [];
    const missing = columns.missing(demand);
    const spot = own.filter(({ way }) => way.offering.capacityType === 'spot');
    const zones = maxPerZone === null ? [] : [...Map.groupBy(own, ({ way }) => way.offering.zone).values()];
    return [
      {
        ...{ lower: replicas, upper: replicas, columns: [...columnsOf(own), ...missing] },
        values: [...own.map(({ lot }) => lot), ...missing.map(() => 1)],
      },
      ...(minOnDemand > 0 ? [atMost(spot, Math.max(0, replicas - minOnDemand))] : []),
      ...zones.map((zone) => atMost(zone, maxPerZone ?? 0)),
    ];
  });
}

/** Parts taken ≤ parts of the machines. */
function capacityRow(way: Way, choices: readonly FleetChoice[], columns: Columns): ProgramRow {
  const own = choices.filter((choice) => choice.way === way);
  return {
    ...{ lower: -Infinity, upper: 0 },
    columns: [...own.map((choice) => columns.choice.get(choice) ?? 0), columns.way.get(way) ?? 0],
    values: [...own.map(({ units }) => units), -way.parts],
  };
}

function limitRows({ limits, budgetPerHour }: CompiledFleet, ways: readonly Way[], columns: Columns): ProgramRow[] {
  const column = (way: Way): number => columns.way.get(way) ?? 0;
  const rows = limits.map((upper, limit): ProgramRow => {
    const touched = ways.filter((way) => way.limits.includes(limit)).map(column);
    return { lower: 0, upper, columns: touched, values: touched.map(() => 1) };
  });
  if (budgetPerHour === null) return rows;
  const values = ways.map(({ offering }) => usdOf(offering.pricePerHour));
  return [...rows, { lower: 0, upper: usdOf(budgetPerHour), columns: ways.map(column), values }];
}

/** A plan as values of the columns. */
export function startOf({ choices, ways, program }: FleetProgram, counts: readonly number[], fleet: CompiledFleet): number[] {
  const machines = new Map(machinesOf(counts, fleet).map(({ way, count }) => [way, count]));
  const seated = fleet.demands.map(() => 0);
  for (const { demand, index, lot } of choices) seated[demand] = (seated[demand] ?? 0) + lot * (counts[index] ?? 0);
  const values = [...choices.map(({ index }) => counts[index] ?? 0), ...ways.map((way) => machines.get(way) ?? 0)];
  const missing = fleet.demands.map(({ replicas }, demand) => replicas - (seated[demand] ?? 0));
  return [...values, ...missing].slice(0, program.costs.length);
}

/** Lots by choice of the whole fleet. */
export function readFleetProgram({ choices }: FleetProgram, values: readonly number[], fleet: CompiledFleet): number[] {
  const counts = fleet.choices.map(() => 0);
  for (const [column, { index }] of choices.entries()) counts[index] = Math.round(values[column] ?? 0);
  return counts;
}
