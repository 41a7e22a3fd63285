// Makes spot-prices/prices.csv.gz from recorded spot prices: `node deploy/traces/make-spot-prices.mjs FOLDER`. Kept are the prices of pools whose
// availability is in spot/, on its clock: seconds from the first sample. Where only the day of that is known, it is taken to be midnight UTC.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2];
if (folder === undefined) throw new Error('Name the folder with the recorded prices.');

const rowsOf = (bytes) => {
  const [head = '', ...lines] = bytes.toString('utf8').trimEnd().split('\n');
  const names = head.split(',');
  return lines.map((line) => Object.fromEntries(line.split(',').map((cell, n) => [names[n], cell])));
};
const zipped = (name) => rowsOf(gunzipSync(readFileSync(join(folder, name))));

const traces = rowsOf(readFileSync(join(here, 'spot', 'index.csv'))).filter(({ cloud }) => cloud === 'aws');
const onClock = zipped('aws_r5.16xlarge_2023-04-19.csv.gz').map((row) => ({
  ...row,
  start_date: '2023-04-19',
  at: Number(row.tick_seconds),
}));
const events = zipped('aws_zone_events_2019-12_2020-03.csv.gz').map((row) => ({
  ...row,
  seconds: Date.parse(row.timestamp_utc) / 1000,
}));

const out = traces.flatMap(({ instance_type, zone, start_date, ticks, gap_seconds }) => {
  const isIt = (row) => row.instance_type === instance_type && row.zone === zone;
  const start = Date.parse(`${start_date}T00:00:00Z`) / 1000;
  const own = onClock.filter((row) => isIt(row) && row.start_date === start_date);
  const dated = events.filter(isIt).map((row) => ({ ...row, at: row.seconds - start }));
  const changes = [...own, ...dated].filter(({ at }) => at < ticks * gap_seconds).sort((a, b) => a.at - b.at);
  // A price that is older says nothing about then.
  const before = changes.filter(({ at }) => at <= 0 && at > -30 * 86_400).slice(-1);
  if (before.length === 0) return [];
  return [...before, ...changes.filter(({ at }) => at > 0)].map((row) =>
    [instance_type, zone, start_date, Math.max(0, row.at), row.spot_usd_per_hour].join(','),
  );
});
const text = ['instance_type,zone,start_date,tick_seconds,spot_usd_per_hour', ...out].join('\n') + '\n';
writeFileSync(join(here, 'spot-prices', 'prices.csv.gz'), gzipSync(text, { level: 9 }));
console.log(`${out.length} prices`);
