import { CloudUnknown } from '../clouds/cloud-provider.port.ts';
import type { Offering } from '../clouds/offering.ts';
import { offeringIdOf, type OfferingKey } from '../clouds/offering-key.ts';
import type { ObservedPrice, UnreadableRow } from '../clouds/price-feed.port.ts';
import { CsvReader } from '../clouds/read-csv.ts';
import type { Accelerator } from '../kernel/resources.ts';

/** Lines of one table. Higher: nothing else is done for seconds while it is read; lower: the largest catalogues, some 100,000 lines, do not fit. */
const MAX_LINES = 300_000;

/** A line of a table by the names of its columns. */
export interface TableRow {
  readonly line: number;
  readonly cells: Readonly<Record<string, string>>;
}

export interface Table {
  readonly rows: readonly TableRow[];
  readonly unreadable: readonly UnreadableRow[];
}

/** What a table says can be rented, and for how much. */
export interface PriceTable {
  readonly offerings: readonly Offering[];
  readonly prices: readonly ObservedPrice[];
  readonly unreadable: readonly UnreadableRow[];
}

/** Thrown by whoever reads a row: it is told with its line, and the others are read on. */
export class UnreadableCell extends Error {
  override readonly name = 'UnreadableCell';
}

/**
 * Reads comma-separated values with a header. Lines of another length are told; a text without these columns, without a line, or that ends
 * within a cell is `CloudUnknown`: it is no table, or not all of it.
 */
export function readTable(text: string, required: readonly string[]): Table {
  const records = recordsOf(text);
  const [header, ...lines] = records;
  const missing = required.filter((name) => !header?.includes(name));
  if (!header || missing.length > 0) throw new CloudUnknown(`The table has no column ${missing.join(', ')}.`);
  if (lines.length === 0) throw new CloudUnknown('The table has no line.');
  const rows: TableRow[] = [];
  const unreadable: UnreadableRow[] = [];
  for (const [index, cells] of lines.entries()) {
    const line = index + 2;
    if (cells.length === header.length)
      rows.push({ line, cells: Object.fromEntries(header.map((name, i) => [name, cells[i] ?? ''])) });
    else unreadable.push({ ref: `line ${line}`, reason: `It has ${cells.length} cells; the header has ${header.length}.` });
  }
  return { rows, unreadable };
}

function recordsOf(text: string): string[][] {
  if (hasMoreLines(text, MAX_LINES)) throw new CloudUnknown(`The table has more than ${MAX_LINES} lines.`);
  const reader = new CsvReader();
  try {
    const records = reader.add(text.replace(/^\uFEFF/, ''));
    const last = reader.end();
    return last ? [...records, last] : records;
  } catch (error) {
    throw new CloudUnknown(`The table cannot be read: ${(error as Error).message}.`);
  }
}

/** Looked at before anything is made of them. */
function hasMoreLines(text: string, most: number): boolean {
  let lines = 0;
  for (let at = text.indexOf('\n'); at !== -1 && lines <= most; at = text.indexOf('\n', at + 1)) lines += 1;
  return lines > most;
}

/** Reads each row by itself; one that cannot be read is told with its line. */
export function readRows<T>(
  { rows, unreadable }: Table,
  read: (row: TableRow) => readonly T[],
): { read: T[]; unreadable: UnreadableRow[] } {
  const found: T[] = [];
  const told = [...unreadable];
  for (const row of rows) {
    try {
      found.push(...read(row));
    } catch (error) {
      if (!(error instanceof UnreadableCell)) throw error;
      told.push({ ref: `line ${row.line}`, reason: error.message });
    }
  }
  return { read: found, unreadable: told };
}

export function textCell({ cells }: TableRow, name: string): string {
  const text = (cells[name] ?? '').trim();
  if (text === '') throw new UnreadableCell(`${name} is empty.`);
  return text;
}

/** `factor` × a number, as an integer; a fraction of it is cut off. */
export function scaledCell(row: TableRow, name: string, factor: number): number {
  const text = textCell(row, name);
  const value = /^\d{1,12}(?:\.\d{1,20})?$/.test(text) ? Math.floor(Number(text) * factor + 1e-6) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new UnreadableCell(`${name} is "${text.slice(0, 40)}", which is no number.`);
  return value;
}

export const optionalScaled = (row: TableRow, name: string, factor: number): number | null =>
  (row.cells[name] ?? '').trim() === '' ? null : scaledCell(row, name, factor);

/** A shape that is the same however it is rented. */
export interface Shape {
  readonly architecture: string;
  readonly cpuMilli: number;
  readonly memoryMib: number | null;
  readonly accelerator: Accelerator | null;
}

export const offeringOf = (key: OfferingKey, shape: Shape, interruptionBand: string | null = null): Offering => ({
  id: offeringIdOf(key),
  ...key,
  ...shape,
  interruptionBand,
});
