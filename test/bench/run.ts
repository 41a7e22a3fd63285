// `npm run bench [NAME…]`: runs the benches of this folder one after the other and prints one table. Figures are ratios within one run
// or medians; nothing here passes or fails by time.
import { readdirSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Bench, BenchRow } from './bench-row.ts';

const wanted = process.argv.slice(2);
const files = readdirSync(import.meta.dirname).filter((name) => /\.bench\.[jt]s$/.test(name));
const chosen = files.filter((name) => wanted.length === 0 || wanted.some((word) => name.startsWith(word)));

console.log(`Node ${process.version}, ${platform()} ${arch()}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}\n`);
for (const name of chosen) {
  const bench = (await import(pathToFileURL(join(import.meta.dirname, name)).href)) as Bench;
  console.log(`## ${name.replace(/\.bench\.[jt]s$/, '')}`);
  print(await bench.run());
}

function print(rows: readonly BenchRow[]): void {
  const width = Math.max(...rows.map((row) => row.name.length));
  for (const row of rows)
    console.log(`${row.name.padEnd(width)}  ${row.value} ${row.unit}${row.goal ? `  (goal ${row.goal})` : ''}`);
  console.log('');
}
