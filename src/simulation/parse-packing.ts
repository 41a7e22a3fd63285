import type { PackNode, PackPod } from '../scheduler/pack-cluster.ts';
import { WHOLE_GPU } from '../scheduler/pack-room.ts';

/** What a file holds that cannot be used, where, and what would mend it. */
export class PackingError extends Error {
  override readonly name = 'PackingError';
}

/** Rows of `sn,cpu_milli,memory_mib,gpu,model`, in any order of columns. Throws `PackingError`. */
export function parseNodes(text: string, file: string): PackNode[] {
  const nodes = rowsOf(text, file, ['sn', 'cpu_milli', 'memory_mib', 'gpu', 'model']).map((row) => ({
    name: row.text('sn', 'give every node a name'),
    cpuMilli: row.count('cpu_milli'),
    memoryMib: row.count('memory_mib'),
    gpus: row.count('gpu', MAX_GPUS),
    model: row.cell('model'),
  }));
  return named(nodes, file, 'sn');
}

/**
 * Rows of `name,cpu_milli,memory_mib,num_gpu,gpu_milli` and, where the file has it, `gpu_spec`: the accepted models, with `|` between them. Throws
 * `PackingError`.
 */
export function parsePods(text: string, file: string): PackPod[] {
  const pods = rowsOf(text, file, ['name', 'cpu_milli', 'memory_mib', 'num_gpu', 'gpu_milli']).map((row) => {
    const gpus = row.count('num_gpu', MAX_GPUS);
    return {
      name: row.text('name', 'give every pod a name'),
      cpuMilli: row.count('cpu_milli'),
      memoryMib: row.count('memory_mib'),
      gpus,
      gpuMilli: gpus === 0 ? 0 : row.share('gpu_milli', gpus),
      models: [...new Set(row.cell('gpu_spec').split('|').filter(Boolean))].sort(),
    };
  });
  return named(pods, file, 'name');
}

/** Devices of one node; higher makes one bad cell a list that fills the memory. */
const MAX_GPUS = 64;

const MAX_COUNT = 2 ** 31 - 1;

class Row {
  readonly #at: string;
  readonly #cells: ReadonlyMap<string, string>;

  constructor(at: string, cells: ReadonlyMap<string, string>) {
    [this.#at, this.#cells] = [at, cells];
  }

  cell(column: string): string {
    return this.#cells.get(column) ?? '';
  }

  text(column: string, mend: string): string {
    return this.cell(column) || this.#refuse(column, `is empty; ${mend}`);
  }

  count(column: string, most: number = MAX_COUNT): number {
    const value = /^\d{1,10}$/.test(this.cell(column)) ? Number(this.cell(column)) : Infinity;
    return value <= most ? value : this.#refuse(column, `must be a whole number from 0 to ${most}`);
  }

  /** Thousandths of each device: one device may be shared, several are whole. */
  share(column: string, gpus: number): number {
    const value = this.count(column, WHOLE_GPU);
    if (value === 0) return this.#refuse(column, 'is 0 for a pod with devices; write 1000 for whole ones');
    if (gpus > 1 && value < WHOLE_GPU)
      return this.#refuse(column, `must be ${WHOLE_GPU} for a pod with ${gpus} devices: only one device can be shared`);
    return value;
  }

  #refuse(column: string, problem: string): never {
    throw new PackingError(`${this.#at}, column ${column}: ${JSON.stringify(this.cell(column))} ${problem}.`);
  }
}

/** These files quote nothing. */
function rowsOf(text: string, file: string, required: readonly string[]): Row[] {
  const [head = '', ...lines] = text.trimEnd().split(/\r?\n/);
  const columns = head.split(',');
  const missing = required.filter((name) => !columns.includes(name));
  if (missing.length > 0)
    throw new PackingError(
      `${file}, line 1: the column ${missing[0]} is missing; the first line must name ${required.join(', ')}.`,
    );
  if (lines.length === 0) throw new PackingError(`${file}, line 2: there is no row; give at least one.`);
  return lines.map((line, index) => {
    const cells = line.split(',');
    const at = `${file}, line ${index + 2}`;
    if (cells.length !== columns.length)
      throw new PackingError(`${at}: ${cells.length} cells under ${columns.length} columns; write one for each, empty ones too.`);
    return new Row(at, new Map(columns.map((name, column) => [name, cells[column] ?? ''])));
  });
}

function named<T extends { readonly name: string }>(items: T[], file: string, column: string): T[] {
  const lines = new Map<string, number>();
  for (const [index, { name }] of items.entries()) {
    const first = lines.get(name);
    if (first !== undefined)
      throw new PackingError(
        `${file}, line ${index + 2}, column ${column}: ${name} stands in line ${first} already; names are unique.`,
      );
    lines.set(name, index + 2);
  }
  return items;
}
