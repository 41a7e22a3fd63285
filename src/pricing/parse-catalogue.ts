import type { CapacityType, Offering } from '../clouds/offering.ts';
import { offeringIdOf } from '../clouds/offering-key.ts';
import { invariant } from '../kernel/invariant.ts';
import { parseUsd } from '../kernel/money.ts';
import type { Accelerator } from '../kernel/resources.ts';
import type { CatalogueRegion, CatalogueRow, RegionLatency, ZoneItem } from './catalogue.port.ts';

type Cells = Readonly<Record<string, string>>;

/**
 * Reads the bundled offerings: one line per region and instance type with an on-demand price and, where known, a spot price, which
 * become one row each. Throws on damage: the file is part of the product, not input.
 */
export const parseOfferings = (csv: string): CatalogueRow[] =>
  parseCsv(csv).flatMap((cells) => [...rowsOf(cells, 'on_demand'), ...rowsOf(cells, 'spot')]);

/** Reads the bundled regions; zones are separated by `|`. */
export const parseRegions = (csv: string): CatalogueRegion[] =>
  parseCsv(csv).map((cells) => ({
    provider: cell(cells, 'provider'),
    region: cell(cells, 'region'),
    location: cell(cells, 'location'),
    latitude: numberOrNull(cell(cells, 'latitude')),
    longitude: numberOrNull(cell(cells, 'longitude')),
    zones: cell(cells, 'zones').split('|').filter(Boolean),
  }));

/** Reads the bundled round trips. */
export const parseLatencies = (csv: string): RegionLatency[] =>
  parseCsv(csv).map((cells) => ({
    from: `${cell(cells, 'from_provider')}/${cell(cells, 'from_region')}`,
    to: `${cell(cells, 'to_provider')}/${cell(cells, 'to_region')}`,
    rttUs: Number(cell(cells, 'rtt_us')),
  }));

/** Reads what the bundled zones offer. */
export const parseZoneItems = (csv: string): ZoneItem[] =>
  parseCsv(csv).map((cells) => {
    const kind = cell(cells, 'kind');
    invariant(kind === 'machine_type' || kind === 'accelerator' || kind === 'cpu_family', `price book: zone item ${kind}`);
    return { provider: cell(cells, 'provider'), zone: cell(cells, 'zone'), kind, name: cell(cells, 'name') };
  });

/** Comma-separated without quoting: the files are ours and have none. */
function parseCsv(csv: string): Cells[] {
  const [header = '', ...lines] = csv.trimEnd().split('\n');
  const names = header.split(',');
  return lines.map((line, index) => {
    const cells = line.split(',');
    invariant(cells.length === names.length, `price book: line ${index + 2} has ${cells.length} cells`);
    return Object.fromEntries(names.map((name, column) => [name, cells[column] ?? '']));
  });
}

function rowsOf(cells: Cells, capacityType: CapacityType): CatalogueRow[] {
  const text = cell(cells, `${capacityType}_usd_per_hour`);
  if (text === '') return [];
  const price = parseUsd(text);
  const date = cell(cells, `${capacityType}_date`);
  const asOf = Date.parse(`${date}T00:00:00Z`);
  invariant(
    price !== null && price >= 0n && Number.isSafeInteger(asOf),
    `price book: ${cell(cells, 'instance_type')} ${text} ${date}`,
  );
  return [{ offering: offeringOf(cells, capacityType), price, source: `${cell(cells, `${capacityType}_source`)}@${date}`, asOf }];
}

function offeringOf(cells: Cells, capacityType: CapacityType): Offering {
  const key = {
    provider: cell(cells, 'provider'),
    region: cell(cells, 'region'),
    zone: cell(cells, 'zone'),
    instanceType: cell(cells, 'instance_type'),
    capacityType,
  };
  return {
    id: offeringIdOf(key),
    ...key,
    architecture: cell(cells, 'architecture'),
    cpuMilli: Number(cell(cells, 'cpu_milli')),
    memoryMib: numberOrNull(cell(cells, 'memory_mib')),
    accelerator: acceleratorOf(cells),
    interruptionBand: capacityType === 'spot' ? cell(cells, 'interruption_band') || null : null,
  };
}

/** An unknown count or memory becomes 0: it then satisfies no demand, instead of any. */
function acceleratorOf(cells: Cells): Accelerator | null {
  const model = cell(cells, 'accelerator_model');
  if (model === '') return null;
  return {
    model,
    countMilli: Number(cell(cells, 'accelerator_count_milli')),
    memoryMib: Number(cell(cells, 'accelerator_memory_mib')),
  };
}

function cell(cells: Cells, name: string): string {
  const text = cells[name];
  invariant(text !== undefined, `price book: no column ${name}`);
  return text;
}

const numberOrNull = (text: string): number | null => (text === '' ? null : Number(text));
