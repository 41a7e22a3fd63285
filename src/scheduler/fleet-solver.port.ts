/** Minimise `costs · x` over whole numbers `0 ≤ x ≤ upper` with `lower ≤ row · x ≤ upper` for every row. */
export interface IntegerProgram {
  readonly costs: readonly number[];
  readonly upper: readonly number[];
  readonly rows: readonly ProgramRow[];
}

export interface ProgramRow {
  readonly lower: number;
  readonly upper: number;
  readonly columns: readonly number[];
  /** Coefficients, column by column. */
  readonly values: readonly number[];
}

export interface Relaxation {
  readonly objective: number;
  /** By column: how much the objective grows at least for each unit of a column that the relaxation leaves at zero. */
  readonly reducedCosts: readonly number[];
}

export interface ProgramSolution {
  /** The best found, to be checked and rounded by the caller; null = none. */
  readonly values: readonly number[] | null;
  /** No solution costs less; −Infinity where nothing is proven. */
  readonly bound: number;
}

/**
 * A solver of integer programs. Synchronous and without state: the same question has the same answer, as far as the time limit that it was
 * opened with lets it get; asking again is safe. What it cannot solve is null or a weak bound, never an exception.
 */
export interface FleetSolver {
  /** The program with fractions allowed; null where it has no solution or time ran out. */
  relax(program: IntegerProgram): Relaxation | null;
  /** `start` is a solution to begin with. */
  solve(program: IntegerProgram, start: readonly number[]): ProgramSolution;
}
