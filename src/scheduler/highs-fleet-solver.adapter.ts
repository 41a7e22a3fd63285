import type { Highs, Model, ModelData } from 'highs';
import { invariant } from '../kernel/invariant.ts';
import type { FleetSolver, IntegerProgram, ProgramSolution, Relaxation } from './fleet-solver.port.ts';

export interface HighsOptions {
  /** For one solution; what is found and proven by then counts. */
  readonly timeLimitMs: number;
  /** Good enough: relative distance to the proven bound. */
  readonly gap: number;
}

/** Loads HiGHS (WebAssembly) once; after that it answers synchronously. */
export async function openHighsSolver(options: HighsOptions): Promise<FleetSolver> {
  const { default: load }: { default: unknown } = await import('highs');
  invariant(isLoader(load), 'the package highs exports its loader as default');
  return new HighsFleetSolver(await load(), options);
}

/** Its declarations are of its CommonJS build; this is the other one. */
const isLoader = (value: unknown): value is () => Promise<Highs> => typeof value === 'function';

class HighsFleetSolver implements FleetSolver {
  readonly #highs: Highs;
  readonly #options: HighsOptions;

  constructor(highs: Highs, options: HighsOptions) {
    [this.#highs, this.#options] = [highs, options];
  }

  relax(program: IntegerProgram): Relaxation | null {
    return this.#with(modelOf(program, 0), (model) => {
      model.run();
      if (model.getModelStatus() !== this.#highs.constants.modelStatus.optimal) return null;
      return { objective: model.getObjectiveValue(), reducedCosts: [...model.getSolution().colDual] };
    });
  }

  solve(program: IntegerProgram, start: readonly number[]): ProgramSolution {
    return this.#with(modelOf(program, this.#highs.constants.variableType.integer), (model) => {
      model.setSolution({ colValue: Float64Array.from(start) });
      model.run();
      const solution = model.getSolution();
      const bound = Number(model.info.get('mip_dual_bound'));
      return { values: solution.colValue.length === start.length ? [...solution.colValue] : null, bound };
    });
  }

  #with<T>(data: ModelData, body: (model: Model) => T): T {
    const model = this.#highs.createModel(data);
    try {
      model.options.set({ output_flag: false, mip_rel_gap: this.#options.gap, time_limit: this.#options.timeLimitMs / 1000 });
      return body(model);
    } finally {
      model.dispose();
    }
  }
}

function modelOf({ costs, upper, rows }: IntegerProgram, integrality: number): ModelData {
  const starts = new Int32Array(rows.length + 1);
  for (const [at, { columns }] of rows.entries()) starts[at + 1] = (starts[at] ?? 0) + columns.length;
  const matrix = { format: 'csr', numRows: rows.length, numCols: costs.length, starts } as const;
  return {
    ...{ numCols: costs.length, numRows: rows.length, colCost: costs, colLower: costs.map(() => 0), colUpper: upper },
    ...{ rowLower: rows.map(({ lower }) => lower), rowUpper: rows.map((row) => row.upper) },
    matrix: { ...matrix, indices: rows.flatMap(({ columns }) => columns), values: rows.flatMap(({ values }) => values) },
    integrality: Int32Array.from(costs, () => integrality),
  };
}
