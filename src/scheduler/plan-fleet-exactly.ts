import { PICO_PER_USD } from '../kernel/money.ts';
import { checkFleet } from './check-fleet.ts';
import { compileFleet, type FleetInput } from './fleet.ts';
import { makeFleetProgram, readFleetProgram, startOf } from './fleet-program.ts';
import { scopeOf } from './fleet-scope.ts';
import type { FleetSolver } from './fleet-solver.port.ts';
import { planOf, type FleetPlan } from './plan-fleet.ts';
import { searchFleet } from './search-fleet.ts';

/**
 * The greedy plan, bettered and bounded by a solver. Never worse than greedy: an answer that costs more, seats fewer or breaks a rule when it is
 * counted exactly is not taken.
 */
export function planFleetExactly(input: FleetInput, solver: FleetSolver): FleetPlan {
  const fleet = compileFleet(input);
  const { counts } = searchFleet(fleet);
  const greedy = planOf(counts, fleet, { method: 'greedy', lowerBoundPerHour: null });
  const mayMiss = greedy.unplaced.length > 0;
  const scope = mayMiss
    ? { choices: fleet.choices, bound: -Infinity, complete: false }
    : scopeOf(fleet, counts, greedy.costPerHour, solver);
  if (scope.choices.length === 0) return greedy;
  const program = makeFleetProgram(fleet, { choices: scope.choices, mayMiss });
  const { values, bound } = solver.solve(program.program, startOf(program, counts, fleet));
  const lowerBoundPerHour = picoOf(scope.complete ? Math.max(bound, scope.bound) : scope.bound);
  const exact = values && planOf(readFleetProgram(program, values, fleet), fleet, { method: 'exact', lowerBoundPerHour });
  const sound = exact && checkFleet(input, exact).length === 0 && isBetter(exact, greedy);
  return sound ? exact : planOf(counts, fleet, { method: 'greedy', lowerBoundPerHour });
}

const isBetter = (exact: FleetPlan, greedy: FleetPlan): boolean =>
  missingIn(exact) < missingIn(greedy) || (missingIn(exact) === missingIn(greedy) && exact.costPerHour <= greedy.costPerHour);

const missingIn = ({ unplaced }: FleetPlan): number => unplaced.reduce((sum, { replicas }) => sum + replicas, 0);

/** Solvers count in floats: what they prove is believed up to this share. */
const FLOAT_SLACK = 1e-9;

const picoOf = (usd: number): bigint | null =>
  Number.isFinite(usd) && usd >= 0 ? BigInt(Math.floor(usd * (1 - FLOAT_SLACK) * Number(PICO_PER_USD))) : null;
