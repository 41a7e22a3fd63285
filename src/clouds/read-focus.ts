import type { Instant } from '../kernel/instant.ts';
import type { PicoUsd } from '../kernel/money.ts';
import type { BillLine } from './bill.port.ts';
import { chargeOf } from './decimal.ts';

/** Columns without which a file is no bill (FOCUS 1.0 and later). */
export const FOCUS_COLUMNS = [
  'BilledCost',
  'BillingCurrency',
  'ChargeCategory',
  'ChargePeriodEnd',
  'ChargePeriodStart',
  'EffectiveCost',
  'ServiceName',
] as const;

/** A row by the names of its columns; empty cells and `NULL` are left out. */
export type FocusRow = ReadonlyMap<string, string>;

export function focusRow(header: readonly string[], cells: readonly string[]): FocusRow {
  const named = cells.map((cell, column): [string, string] => [header[column] ?? '', cell]);
  return new Map(named.filter(([, cell]) => cell !== '' && cell !== 'NULL'));
}

/** Reads a row that is a charge; a text says what of it cannot be read. */
export function readFocusRow(row: FocusRow): BillLine | string {
  const currency = row.get('BillingCurrency');
  if (currency !== 'USD') return `its currency is ${currency ?? 'not said'}`;
  const [start, end] = [instantOf(row.get('ChargePeriodStart')), instantOf(row.get('ChargePeriodEnd'))];
  if (start === null || end === null || end <= start) return 'its charge period cannot be read';
  const [billed, effective] = [costOf(row.get('BilledCost')), costOf(row.get('EffectiveCost'))];
  if (billed === null || effective === null) return 'its cost cannot be read';
  return {
    ...{ chargePeriodStart: start, chargePeriodEnd: end, billedCost: billed, effectiveCost: effective },
    ...{ listCost: costOf(row.get('ListCost')), ...whatFor(row) },
  };
}

const whatFor = (row: FocusRow): Pick<BillLine, 'chargeCategory' | 'serviceName' | 'regionId' | 'resourceId' | 'tags'> => ({
  chargeCategory: row.get('ChargeCategory') ?? '',
  serviceName: row.get('ServiceName') ?? '',
  regionId: row.get('RegionId') ?? null,
  resourceId: row.get('ResourceId') ?? null,
  tags: tagsOf(row.get('Tags')),
});

/** `2026-01-31T00:00:00Z` as FOCUS writes it, or `2026-01-31 00:00:00`, which is UTC too. */
export function instantOf(text: string | undefined): Instant | null {
  const [, date, time] = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?Z?$/.exec(text ?? '') ?? [];
  const at = Date.parse(`${date}T${time}Z`);
  return Number.isSafeInteger(at) ? at : null;
}

const costOf = (text: string | undefined): PicoUsd | null => chargeOf(text ?? '');

/** A charge counts, whatever became of its tags. */
function tagsOf(text: string | undefined): Record<string, string> {
  try {
    const tags: unknown = JSON.parse(text ?? '{}');
    if (typeof tags !== 'object' || tags === null || Array.isArray(tags)) return {};
    return Object.fromEntries(Object.entries(tags).flatMap(([key, value]) => (typeof value === 'string' ? [[key, value]] : [])));
  } catch {
    return {};
  }
}
