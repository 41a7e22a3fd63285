import type { SpotGroup, SpotTrace } from './spot-market.ts';

/** A line of a folder's `index.csv`, as far as it is used. */
export interface TraceEntry {
  readonly file: string;
  readonly zone: string;
  /** Traces of one group were recorded at the same time and serve the same demand. */
  readonly group: string;
  readonly tickMs: number;
  /** Where its prices are found: `SpotPrices`. */
  readonly priceKey: string;
}

/** Changes of the price of an instance, the oldest first, by instance type, zone and start date of the series that they go with. */
export type SpotPrices = ReadonlyMap<string, readonly { readonly atMs: number; readonly usdPerHour: number }[]>;

/** What a file holds that cannot be used, and where. */
export class TraceError extends Error {
  override readonly name = 'TraceError';
}

/** Throws `TraceError`. */
export function parseTraceIndex(text: string): TraceEntry[] {
  const rows = rowsOf(text, 'index.csv');
  if (rows.length === 0) throw new TraceError('index.csv names no trace.');
  return rows.map(({ line, field }) => {
    const seconds = Number(field('gap_seconds'));
    if (!(seconds > 0)) throw new TraceError(`index.csv, line ${line}: gap_seconds must be a number of seconds above 0.`);
    const group = [field('cloud'), field('instance_type'), `${field('nodes_requested')}node`, field('kind'), field('start_date')];
    return {
      file: field('file'),
      zone: field('zone'),
      group: group.join(' '),
      tickMs: Math.round(seconds * 1000),
      priceKey: priceKeyOf(field),
    };
  });
}

/** Availability by tick. Throws `TraceError`, also where samples are missing or not in order: time between them would be made up. */
export function parseTrace(text: string, { file, tickMs }: Pick<TraceEntry, 'file' | 'tickMs'>): number[] {
  const rows = rowsOf(text, file);
  if (rows.length === 0) throw new TraceError(`${file} has no samples.`);
  let before = NaN;
  return rows.map(({ line, field }) => {
    const available = field('available');
    if (!/^\d{1,6}$/.test(available))
      throw new TraceError(`${file}, line ${line}: available must be a whole number of instances.`);
    const at = field('tick_seconds') === '' ? NaN : Number(field('tick_seconds')) * 1000;
    if (!Number.isFinite(at)) throw new TraceError(`${file}, line ${line}: tick_seconds must be a number of seconds.`);
    // Half a sample early or late is a slow clock; more is a hole, another order or another gap.
    if (Math.abs(at - before - tickMs) > tickMs / 2)
      throw new TraceError(
        `${file}, line ${line}: ${(at - before) / 1000} s after the sample before, and gap_seconds of index.csv is ${tickMs / 1000}: put them in order, and make two traces of one with a hole.`,
      );
    before = at;
    return Number(available);
  });
}

/** Throws `TraceError`. */
export function parseSpotPrices(text: string, file: string): SpotPrices {
  const rows = rowsOf(text, file).map(({ line, field }) => {
    const [atMs, usdPerHour] = [Number(field('tick_seconds')) * 1000, Number(field('spot_usd_per_hour'))];
    if (!(atMs >= 0)) throw new TraceError(`${file}, line ${line}: tick_seconds must be a number of seconds, 0 or more.`);
    if (!(usdPerHour > 0 && usdPerHour < Infinity))
      throw new TraceError(`${file}, line ${line}: spot_usd_per_hour must be a price above 0.`);
    return { key: priceKeyOf(field), atMs, usdPerHour };
  });
  return Map.groupBy(
    rows.sort((a, b) => a.atMs - b.atMs),
    ({ key }) => key,
  );
}

/** Throws `TraceError` where traces do not go together. */
export function groupTraces(
  traces: readonly (TraceEntry & { readonly available: readonly number[] })[],
  prices: SpotPrices = new Map(),
): SpotGroup[] {
  return [...Map.groupBy(traces, ({ group }) => group)].map(([name, members]) => {
    const [tickMs = 0, ...others] = new Set(members.map((member) => member.tickMs));
    if (others.length > 0) throw new TraceError(`index.csv: the traces of ${name} have different gap_seconds.`);
    const ticks = Math.min(...members.map(({ available }) => available.length));
    if (ticks === 0) throw new TraceError(`${name}: a trace without samples says nothing.`);
    if (new Set(members.map(({ zone }) => zone)).size < members.length)
      throw new TraceError(`index.csv: ${name} has two traces of one zone.`);
    const own = pricesOf(members, prices, { tickMs, ticks });
    const traces = members.map(({ zone, available }, n): SpotTrace => ({
      pool: zone,
      available,
      ...(own && { prices: own[n] ?? [] }),
    }));
    return { name, tickMs, ticks, traces };
  });
}

/** By trace and tick, told in their mean, which is the spot price that on-demand is compared with. Null unless all of them have prices. */
function pricesOf(
  members: readonly TraceEntry[],
  prices: SpotPrices,
  { tickMs, ticks }: Pick<SpotGroup, 'tickMs' | 'ticks'>,
): number[][] | null {
  const changes = members.flatMap(({ priceKey }) => prices.get(priceKey) ?? []);
  if (members.some(({ priceKey }) => !prices.has(priceKey)) || changes.length === 0) return null;
  const series = members.map(({ priceKey }) => {
    const own = prices.get(priceKey) ?? [];
    let next = 0;
    return Array.from({ length: ticks }, (_, tick) => {
      while ((own[next + 1]?.atMs ?? Infinity) <= tick * tickMs) next += 1;
      return own[next]?.usdPerHour ?? 0;
    });
  });
  const mean = series.flat().reduce((sum, price) => sum + price, 0) / (ticks * members.length);
  return series.map((own) => own.map((price) => price / mean));
}

const priceKeyOf = (field: Row['field']): string => [field('instance_type'), field('zone'), field('start_date')].join(' ');

interface Row {
  readonly line: number;
  readonly field: (name: string) => string;
}

/** These files quote nothing. */
function rowsOf(text: string, file: string): Row[] {
  const [head = '', ...lines] = text.trimEnd().split(/\r?\n/);
  const names = head.split(',');
  return lines.map((cells, index) => {
    const values = cells.split(',');
    const field = (name: string): string => {
      const value = values[names.indexOf(name)];
      if (value === undefined) throw new TraceError(`${file}, line ${index + 2}: the column ${name} is missing.`);
      return value;
    };
    return { line: index + 2, field };
  });
}
