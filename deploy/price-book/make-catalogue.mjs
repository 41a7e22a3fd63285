// Reshapes the collected price tables into the bundled price book. Usage: node make-catalogue.mjs FOLDER, where FOLDER holds
// aws.csv, azure.csv, gcp.csv, provenance.csv.gz, regions.csv, region_latency.csv and gcp_zones.csv. Writes offerings.csv.gz, regions.csv,
// latency.csv (round trips in µs) and zone_items.csv (what is offered in which zone) beside itself.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

const source = process.argv[2];
const here = import.meta.dirname;

const rowsOf = (text) => {
  const [header, ...lines] = text.trimEnd().split('\n').map((line) => line.replace(/\r$/, '').split(','));
  return lines.map((cells) => Object.fromEntries(header.map((name, index) => [name, cells[index] ?? ''])));
};

/** `factor` × a decimal string, exactly; a fraction of the result is cut off. */
const scaled = (text, factor) => {
  if (text === '') return '';
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) throw new Error(`not a plain decimal: ${text}`);
  const [, whole, fraction = ''] = match;
  return String((BigInt(whole + fraction) * BigInt(factor)) / 10n ** BigInt(fraction.length));
};

const decimal = (text) => {
  if (text !== '' && !/^\d+(\.\d{1,12})?$/.test(text)) throw new Error(`not a price: ${text}`);
  return text;
};

const provenance = new Map(
  rowsOf(gunzipSync(readFileSync(join(source, 'provenance.csv.gz'))).toString()).map((row) => [`${row.provider},${row.region},${row.instance_type}`, row]),
);

const COLUMNS = [
  'provider', 'region', 'zone', 'instance_type', 'architecture', 'cpu_milli', 'memory_mib', 'accelerator_model', 'accelerator_count_milli',
  'accelerator_memory_mib', 'on_demand_usd_per_hour', 'on_demand_source', 'on_demand_date', 'spot_usd_per_hour', 'spot_source', 'spot_date',
  'interruption_band',
];

const lines = ['aws', 'azure', 'gcp'].flatMap((provider) =>
  rowsOf(readFileSync(join(source, `${provider}.csv`), 'utf8')).map((row) => {
    const from = provenance.get(`${row.provider},${row.region},${row.instance_type}`);
    if (!from) throw new Error(`no provenance: ${row.provider} ${row.region} ${row.instance_type}`);
    const cells = [
      row.provider, row.region, row.zone, row.instance_type, row.architecture, scaled(row.vcpus, 1000), scaled(row.memory_gib, 1024), row.gpu_model,
      scaled(row.gpu_count, 1000), scaled(row.gpu_memory_gib, 1024), decimal(row.on_demand_usd_per_hour), from.on_demand_source, from.on_demand_as_of,
      decimal(row.spot_usd_per_hour), from.spot_source, from.spot_as_of, row.interruption_rate_band,
    ];
    return cells.join(',');
  }),
);

writeFileSync(join(here, 'offerings.csv.gz'), gzipSync([COLUMNS.join(','), ...lines.sort()].join('\n') + '\n', { level: 9 }));
writeFileSync(join(here, 'regions.csv'), readFileSync(join(source, 'regions.csv')));

const latencies = rowsOf(readFileSync(join(source, 'region_latency.csv'), 'utf8')).map((row) =>
  [row.from_provider, row.from_region, row.to_provider, row.to_region, scaled(row.rtt_ms, 1000)].join(','),
);
writeFileSync(join(here, 'latency.csv'), ['from_provider,from_region,to_provider,to_region,rtt_us', ...latencies.sort()].join('\n') + '\n');

const items = rowsOf(readFileSync(join(source, 'gcp_zones.csv'), 'utf8')).map((row) => ['gcp', row.zone, row.kind, row.name].join(','));
writeFileSync(join(here, 'zone_items.csv'), ['provider,zone,kind,name', ...items.sort()].join('\n') + '\n');
