import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { Instant } from '../kernel/instant.ts';
import type { Bill, BillLine, BillSource } from './bill.port.ts';
import { CloudUnknown } from './cloud-provider.port.ts';
import type { UnreadableRow } from './price-feed.port.ts';
import { CsvReader } from './read-csv.ts';
import { FOCUS_COLUMNS, focusRow, instantOf, readFocusRow, type FocusRow } from './read-focus.ts';

export interface FocusBillOptions {
  /** CSV of FOCUS 1.0 or later; gzip if its name ends in `.gz`. */
  readonly file: string;
  /** Names in `ProviderName` (`ServiceProviderName` from 1.3) whose charges are meant; absent = all of the file. */
  readonly providers?: readonly string[];
  /** Default `MAX_ROWS`. */
  readonly maxRows?: number;
}

/** Charges of one answer. Higher: memory, about a kilobyte for each; lower: a month of a large account has to be asked for by days. */
const MAX_ROWS = 1_000_000;

/** Bills by a FOCUS export, whoever wrote it. Read anew each time: an export is replaced as a whole. */
export class FocusBill implements BillSource {
  readonly #options: FocusBillOptions;

  constructor(options: FocusBillOptions) {
    this.#options = options;
  }

  /** Final once each line has the number of its invoice (`InvoiceId`, from FOCUS 1.2). */
  async fetchBill(from: Instant, to: Instant): Promise<Bill> {
    const lines: BillLine[] = [];
    const unreadable: UnreadableRow[] = [];
    let open = 0;
    try {
      for await (const { row, number } of rowsOf(this.#options.file)) {
        if (!this.#isMeant(row) || isElsewhere(row, from, to)) continue;
        const line = readFocusRow(row);
        if (typeof line === 'string') unreadable.push({ ref: `row ${number}`, reason: line });
        else lines.push(line);
        if (!row.has('InvoiceId')) open += 1;
        this.#checkRoom(lines.length + unreadable.length);
      }
    } catch (error) {
      if (error instanceof CloudUnknown) throw error;
      throw new CloudUnknown(`the FOCUS file cannot be read: ${(error as Error).message}`, { cause: error });
    }
    return { lines, unreadable, isFinal: lines.length > 0 && open === 0 };
  }

  #checkRoom(rows: number): void {
    const { maxRows = MAX_ROWS } = this.#options;
    if (rows > maxRows)
      throw new CloudUnknown(`the FOCUS file has more than ${maxRows} charges in this range: ask for a shorter one`);
  }

  #isMeant(row: FocusRow): boolean {
    const { providers } = this.#options;
    const name = row.get('ServiceProviderName') ?? row.get('ProviderName') ?? '';
    return providers === undefined || providers.includes(name);
  }
}

/** One whose period cannot be read is not passed over: it is told. */
function isElsewhere(row: FocusRow, from: Instant, to: Instant): boolean {
  const start = instantOf(row.get('ChargePeriodStart'));
  return start !== null && (start < from || start >= to);
}

interface NumberedRow {
  readonly row: FocusRow;
  /** The header is row 1. */
  readonly number: number;
}

async function* rowsOf(file: string): AsyncGenerator<NumberedRow> {
  let header: readonly string[] | null = null;
  let number = 0;
  for await (const cells of recordsOf(file)) {
    number += 1;
    if (header === null) header = checkedHeader(cells);
    else if (cells.length !== header.length)
      throw new CloudUnknown(`the FOCUS file is damaged: row ${number} has ${cells.length} cells`);
    else yield { row: focusRow(header, cells), number };
  }
  if (header === null) throw new CloudUnknown('the FOCUS file is empty');
}

function checkedHeader(cells: readonly string[]): readonly string[] {
  const header = cells.map((name, column) => (column === 0 ? name.replace(/^\uFEFF/, '') : name));
  const missing = FOCUS_COLUMNS.filter((name) => !header.includes(name));
  if (missing.length > 0) throw new CloudUnknown(`the file is no FOCUS bill: it has no ${missing.join(', ')}`);
  return header;
}

async function* recordsOf(file: string): AsyncGenerator<string[]> {
  const reader = new CsvReader();
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for await (const chunk of bytesOf(file)) yield* reader.add(decoder.decode(chunk, { stream: true }));
  yield* reader.add(decoder.decode());
  const last = reader.end();
  if (last) yield last;
}

async function* bytesOf(file: string): AsyncGenerator<Buffer> {
  const stored = createReadStream(file);
  if (!file.endsWith('.gz')) {
    yield* stored as AsyncIterable<Buffer>;
    return;
  }
  const plain = createGunzip();
  // The error of either shows when the other is read.
  const piped = pipeline(stored, plain).catch((error: unknown) => plain.destroy(error as Error));
  yield* plain as AsyncIterable<Buffer>;
  await piped;
}
