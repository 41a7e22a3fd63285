import { DAY_MS, type Instant } from '../../kernel/instant.ts';
import type { PicoUsd } from '../../kernel/money.ts';
import { chargeOf } from '../decimal.ts';

/** What was charged on a day, by two names; numbers as they were written. */
export interface CostRow {
  readonly day: Instant;
  readonly names: readonly string[];
  readonly cost: PicoUsd;
}

export interface CostTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
}

/** Reads the rows of a table with columns `Cost`, `UsageDate` (20260531), `Currency` and those of `names`; a text says what is wrong with a row. */
export function readCosts({ columns, rows }: CostTable, names: readonly string[]): (CostRow | string)[] {
  const at = (name: string): number => columns.indexOf(name);
  return rows.map((row) => {
    const cell = (name: string): string => row[at(name)] ?? '';
    const [, year = '', month = '', date = ''] = /^(\d{4})(\d{2})(\d{2})$/.exec(cell('UsageDate')) ?? [];
    const day = Date.parse(`${year}-${month}-${date}T00:00:00Z`);
    const cost = chargeOf(cell('Cost'));
    if (Number.isNaN(day)) return `its day is ${cell('UsageDate')}`;
    if (cost === null) return `its cost is ${cell('Cost')}`;
    if (cell('Currency') !== 'USD') return `its currency is ${cell('Currency')}`;
    return { day, names: names.map(cell), cost };
  });
}

/** Whole UTC days that begin in `[from, to)`; null = none. */
export function daysIn(from: Instant, to: Instant): { readonly first: Instant; readonly last: Instant } | null {
  const first = Math.ceil(from / DAY_MS) * DAY_MS;
  const last = (Math.ceil(to / DAY_MS) - 1) * DAY_MS;
  return first <= last ? { first, last } : null;
}

/** Azure may change the costs of a month until three days after its end, and of late often later. */
const SETTLED_MS = 5 * DAY_MS;

export function isFinal(to: Instant, now: Instant): boolean {
  const last = new Date(to - 1);
  return now >= Date.UTC(last.getUTCFullYear(), last.getUTCMonth() + 1, 1) + SETTLED_MS;
}
