import { PICO_PER_USD, type PicoUsdPerHour } from '../kernel/money.ts';
import { withoutDominated } from './fleet-dominance.ts';
import { costOfLot, makeFleetRelaxation } from './fleet-program.ts';
import type { FleetSolver } from './fleet-solver.port.ts';
import type { CompiledFleet, FleetChoice } from './fleet.ts';

/** Choices that the solver is given at most. Higher finds the last savings on large fleets, lower leaves it time to try more. */
const MAX_CHOICES = 1_500;

/** Reduced costs this close to the line are kept. */
const TOLERANCE_USD = 1e-6;

/** What a solver is asked about. */
export interface FleetScope {
  readonly choices: readonly FleetChoice[];
  /** USD per hour that every plan costs. */
  readonly bound: number;
  /** Whether no plan that is cheaper than greedy's needs another choice, so that what the solver proves holds for all. */
  readonly complete: boolean;
}

/**
 * The choices that matter most: those that add least to the relaxation. Where taking one adds more than lies between it and greedy's cost, no cheaper
 * plan has it.
 */
export function scopeOf(
  fleet: CompiledFleet,
  counts: readonly number[],
  greedyCost: PicoUsdPerHour,
  solver: FleetSolver,
): FleetScope {
  const known = lossesOf(withoutDominated(fleet, counts));
  const lean = known.filter(({ loss }) => loss <= 0).map(({ choice }) => choice);
  const relaxed = solver.relax(makeFleetRelaxation(fleet, lean));
  if (!relaxed) return { choices: [], bound: -Infinity, complete: false };
  const adds = new Map(lean.map((choice, column) => [choice, relaxed.reducedCosts[column] ?? 0]));
  const between = Number(greedyCost) / Number(PICO_PER_USD) - relaxed.objective + TOLERANCE_USD;
  const ranked = known
    .map(({ choice, loss }) => ({ choice, used: (counts[choice.index] ?? 0) > 0, adds: adds.get(choice) ?? loss }))
    .filter((one) => one.used || one.adds <= between)
    .sort((a, b) => Number(b.used) - Number(a.used) || a.adds - b.adds || a.choice.index - b.choice.index);
  const choices = ranked
    .slice(0, MAX_CHOICES)
    .map(({ choice }) => choice)
    .sort((a, b) => a.index - b.index);
  return { choices, bound: relaxed.objective, complete: choices.length === ranked.length };
}

/**
 * What taking one lot of a choice loses at least against the cheapest choice that is always open to the same replicas. The relaxation needs no choice
 * that loses: the other could take its place.
 */
function lossesOf(choices: readonly FleetChoice[]): { readonly choice: FleetChoice; readonly loss: number }[] {
  const groups = Map.groupBy(choices, ({ demand, alike }) => `${demand}/${alike}`);
  return [...groups.values()].flatMap((group) => {
    const open = group.filter(({ way }) => way.use === 'divided' && way.limits.length === 0);
    const least = Math.min(...open.map(costOfLot));
    return group.map((choice) => ({ choice, loss: costOfLot(choice) - choice.lot * least }));
  });
}
