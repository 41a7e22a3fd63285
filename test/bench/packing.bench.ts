// Measures the share of devices that packing allocates on the bundled cluster at 130 % demand, ten seeds for each mix of pods, against the
// published row; decisions per second are of the whole run, the median of the seeds.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { comparePacking, type PackingRow } from '../../src/simulation/compare-packing.ts';
import { readNodes, readPods } from '../../src/simulation/packing-files.adapter.ts';
import { seededRandom } from '../../src/simulation/seeded-random.ts';
import { packageRoot } from '../../src/main/package-root.ts';
import type { BenchRow } from './bench-row.ts';

const FOLDER = join(packageRoot, 'deploy', 'traces', 'packing');
const SEEDS = Array.from({ length: 10 }, (_, seed) => seed + 1);
const MIXES = ['pods_default', 'pods_cpu100', 'pods_gpushare60', 'pods_gpuspec20', 'pods_multigpu30'];

export function run(): Promise<BenchRow[]> {
  return Promise.resolve(MIXES.flatMap(rowsOf));
}

function rowsOf(mix: string): BenchRow[] {
  const files = { nodes: readNodes(join(FOLDER, 'nodes.csv.gz')), pods: readPods(join(FOLDER, `${mix}.csv.gz`)) };
  const world = { randomOf: seededRandom, nowMs: () => performance.now() };
  const runs = SEEDS.map((seed) => comparePacking({ ...files, seed, demand: 1.3, maxMovedShare: 0.02 }, world));
  const mean = (policy: string): string => percent(runs.map((rows) => rowOf(rows, policy).allocatedShare));
  const row = (name: string, value: number | string, unit: string, goal?: string): BenchRow => ({
    name: `packing ${mix.slice('pods_'.length)}: ${name}`,
    ...{ value, unit },
    ...(goal && { goal }),
  });
  const moved = runs.map((rows) => rowOf(rows, 'purser with moves').movedShare);
  const rates = runs.map((rows) => rowOf(rows, 'purser').decisionsPerSecond).sort((a, b) => a - b);
  return [
    row('allocated, nothing moved', mean('purser'), '%', `≥ ${publishedOf(mix)}, the published descent`),
    row(
      'allocated, few moved',
      `${mean('purser with moves')} (${percent(moved)} % moved)`,
      '%',
      mix === 'pods_default' ? '≥ 97.0 at ≤ 2 %' : undefined,
    ),
    row('published descent, best fit, random here', ['fgd as published', 'best fit', 'random'].map(mean).join(', '), '%'),
    row('decisions', rates[rates.length >> 1] ?? 0, '1/s', '≥ 10000'),
  ];
}

function rowOf(rows: readonly PackingRow[], policy: string): PackingRow {
  const row = rows.find((one) => one.policy === policy);
  if (!row) throw new Error(`no row of ${policy}`);
  return row;
}

const percent = (shares: readonly number[]): string =>
  ((100 * shares.reduce((sum, share) => sum + share, 0)) / shares.length).toFixed(2);

const publishedOf = (mix: string): string =>
  readFileSync(join(FOLDER, 'published.csv'), 'utf8')
    .split('\n')
    .map((line) => line.split(','))
    .find(([pods, policy]) => pods === mix && policy === 'FGD')?.[2] ?? 'unknown';
