import type { CapacityType, Offering } from '../clouds/offering.ts';
import type { ObservedPrice } from '../clouds/price-feed.port.ts';
import {
  offeringOf,
  optionalScaled,
  readRows,
  readTable,
  scaledCell,
  textCell,
  UnreadableCell,
  type PriceTable,
  type TableRow,
} from './read-price-table.ts';

const REQUIRED = ['provider', 'region', 'instance_type', 'cpu_milli', 'memory_mib', 'on_demand_usd_per_hour'];

/** Reads a table with the columns of the bundled book; those of sources and dates may be left out, and so may the others that can be empty. */
export function parseOwnPrices(text: string): PriceTable {
  const { read, unreadable } = readRows(readTable(text, REQUIRED), (row) => [
    ...offered(row, 'on_demand'),
    ...offered(row, 'spot'),
  ]);
  return { offerings: read.map(({ offering }) => offering), prices: read.map(({ price }) => price), unreadable };
}

function offered(row: TableRow, capacityType: CapacityType): { offering: Offering; price: ObservedPrice }[] {
  const amount = (row.cells[`${capacityType}_usd_per_hour`] ?? '').trim();
  if (amount === '') return [];
  const key = {
    provider: textCell(row, 'provider'),
    region: textCell(row, 'region'),
    zone: (row.cells.zone ?? '').trim(),
    instanceType: textCell(row, 'instance_type'),
    capacityType,
  };
  const band = capacityType === 'spot' ? row.cells.interruption_band?.trim() || null : null;
  const price = { key, amount, currency: 'USD', unit: 'hour', effectiveFrom: dateOf(row, `${capacityType}_date`) };
  return [{ offering: offeringOf(key, shapeOf(row), band), price }];
}

const shapeOf = (row: TableRow) => ({
  architecture: row.cells.architecture?.trim() || 'amd64',
  cpuMilli: scaledCell(row, 'cpu_milli', 1),
  memoryMib: optionalScaled(row, 'memory_mib', 1),
  accelerator: row.cells.accelerator_model?.trim()
    ? {
        model: row.cells.accelerator_model.trim(),
        countMilli: optionalScaled(row, 'accelerator_count_milli', 1) ?? 0,
        memoryMib: optionalScaled(row, 'accelerator_memory_mib', 1) ?? 0,
      }
    : null,
});

function dateOf(row: TableRow, name: string): number | null {
  const text = row.cells[name]?.trim() ?? '';
  if (text === '') return null;
  const at = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(at)) throw new UnreadableCell(`${name} is "${text.slice(0, 40)}", which is no date.`);
  return at;
}
