import { readFileSync } from 'node:fs';
import { CommandFailure, EXIT } from './exit-codes.ts';

/** How a command prints: one JSON document with `--json`, text for people otherwise. */
export interface Output {
  readonly json: boolean;
  /** Prints `data` as JSON, or what `text` makes of it. */
  readonly result: (data: unknown, text: () => string) => void;
  /** For people only; nothing with `--json`. */
  readonly note: (text: string) => void;
}

export function makeOutput(json: boolean, write: (text: string) => void, note: (text: string) => void): Output {
  return {
    json,
    result: (data, text) => write(json ? `${JSON.stringify(data)}\n` : `${text()}\n`),
    note: (text) => {
      if (!json) note(`${text}\n`);
    },
  };
}

/** Columns aligned by the longest cell; no borders, so that `awk` can read it. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((name, column) => Math.max(name.length, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(header.map((name) => name.toUpperCase())), ...rows.map(line)].join('\n');
}

/** An exact amount, cut for reading: `$0.0452`; at least one significant digit is always shown. */
export function money(amount: string): string {
  const negative = amount.startsWith('-');
  const [whole = '0', fraction = ''] = (negative ? amount.slice(1) : amount).split('.');
  const firstDigit = fraction.search(/[1-9]/);
  const digits = whole === '0' && firstDigit >= 0 ? Math.max(4, firstDigit + 3) : 4;
  const shown = fraction.slice(0, digits).replace(/0+$/, '').padEnd(2, '0');
  return `${negative ? '-' : ''}$${whole}.${shown}`;
}

/** The text of a file, or of standard input for "-". */
export function readInput(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** A file that a person named and that cannot be read is a wrong argument. */
export const unreadable = (path: string, error: unknown): CommandFailure =>
  new CommandFailure(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}.`, EXIT.USAGE);

/** A whole number of an option; anything else is a wrong argument. */
export function wholeNumber(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new CommandFailure(`${option} "${text}" must be a whole number.`, EXIT.USAGE);
  return Number(text);
}
