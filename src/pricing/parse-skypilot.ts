import type { CapacityType } from '../clouds/offering.ts';
import type { OfferingKey } from '../clouds/offering-key.ts';
import type { Accelerator } from '../kernel/resources.ts';
import {
  offeringOf,
  optionalScaled,
  readRows,
  readTable,
  scaledCell,
  textCell,
  type PriceTable,
  type Shape,
  type TableRow,
} from './read-price-table.ts';

const REQUIRED = ['InstanceType', 'vCPUs', 'MemoryGiB', 'AcceleratorName', 'AcceleratorCount', 'Price', 'SpotPrice', 'Region'];
const PRICE_COLUMNS = [
  ['on_demand', 'Price'],
  ['spot', 'SpotPrice'],
] as const;

interface Said {
  readonly key: OfferingKey;
  readonly shape: Shape;
  /** Null: it is offered without a price. */
  readonly amount: string | null;
}

/**
 * Reads a catalogue of SkyPilot: one line per type, region and zone, in USD per hour. Where every zone of a region costs the same there is one
 * offering for all of them. Lines without an instance type price an accelerator alone, which is no machine: they are passed over.
 */
export function parseSkypilot(text: string, provider: string): PriceTable {
  const { read, unreadable } = readRows(readTable(text, REQUIRED), (row) => saidBy(row, provider));
  const groups = [...Map.groupBy(read, ({ key }) => [key.region, key.instanceType, key.capacityType].join('\0')).values()];
  const rows = groups.flatMap(withoutNeedlessZones);
  return {
    offerings: rows.map(({ key, shape }) => offeringOf(key, shape)),
    prices: rows.flatMap(({ key, amount }) =>
      amount === null ? [] : [{ key, amount, currency: 'USD', unit: 'hour', effectiveFrom: null }],
    ),
    unreadable,
  };
}

function saidBy(row: TableRow, provider: string): Said[] {
  if ((row.cells.InstanceType ?? '').trim() === '') return [];
  const key = {
    provider,
    region: textCell(row, 'Region'),
    zone: (row.cells.AvailabilityZone ?? '').trim(),
    instanceType: textCell(row, 'InstanceType'),
  };
  const shape = shapeOf(row);
  const offered = (capacityType: CapacityType, column: string): Said[] => {
    const amount = (row.cells[column] ?? '').trim();
    if (amount === '' && capacityType === 'spot') return [];
    return [{ key: { ...key, capacityType }, shape, amount: amount === '' ? null : amount }];
  };
  return PRICE_COLUMNS.flatMap(([capacityType, column]) => offered(capacityType, column));
}

function withoutNeedlessZones(rows: readonly Said[]): readonly Said[] {
  const [first] = rows;
  if (!first || new Set(rows.map(({ amount }) => amount)).size > 1) return rows;
  return [{ ...first, key: { ...first.key, zone: '' } }];
}

const shapeOf = (row: TableRow): Shape => ({
  architecture: /^(arm64|aarch64)$/i.test(row.cells.Arch ?? '') ? 'arm64' : 'amd64',
  cpuMilli: scaledCell(row, 'vCPUs', 1000),
  memoryMib: optionalScaled(row, 'MemoryGiB', 1024),
  accelerator: acceleratorOf(row),
});

/** `A100-80GB` is an A100 whose memory the name tells; elsewhere `GpuInfo` may tell it. Unknown is 0, which satisfies no demand. */
function acceleratorOf(row: TableRow): Accelerator | null {
  const name = (row.cells.AcceleratorName ?? '').trim();
  if (name === '') return null;
  const [, model = name, gib] = /^(.+)-(\d{1,4})GB$/.exec(name) ?? [];
  const told = /SizeInMiB'?"?\s*:\s*(\d{1,9})/.exec(row.cells.GpuInfo ?? '')?.[1];
  const memoryMib = gib === undefined ? Number(told ?? 0) : Number(gib) * 1024;
  return { model, countMilli: optionalScaled(row, 'AcceleratorCount', 1000) ?? 0, memoryMib };
}
