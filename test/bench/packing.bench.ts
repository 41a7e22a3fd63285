// Measures the share of devices that packing allocates on the bundled cluster at 130 % demand, ten seeds for each mix of pods, against the
// published row; decisions are of the whole run, the median of the seeds.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openHighsSolver } from '../../src/scheduler/highs-fleet-solver.adapter.ts';
import { PackedCluster } from '../../src/scheduler/pack-cluster.ts';
import { PodMix } from '../../src/scheduler/pack-mix.ts';
import { leastStranding, packPods } from '../../src/scheduler/pack-pods.ts';
import { WHOLE_GPU } from '../../src/scheduler/pack-room.ts';
import { comparePacking, type PackingRow } from '../../src/simulation/compare-packing.ts';
import { readNodes, readPods } from '../../src/simulation/packing-files.adapter.ts';
import { samplePods } from '../../src/simulation/sample-pods.ts';
import { seededRandom } from '../../src/simulation/seeded-random.ts';
import { packageRoot } from '../../src/main/package-root.ts';
import type { BenchRow } from './bench-row.ts';
import { boundOfMoves } from './packing-bound.ts';

const FOLDER = join(packageRoot, 'deploy', 'traces', 'packing');
const DEMAND = 1.3;
const SEEDS = Array.from({ length: 10 }, (_, seed) => seed + 1);
const MIXES = ['pods_default', 'pods_cpu100', 'pods_gpushare60', 'pods_gpuspec20', 'pods_multigpu30'];

/** Time of processors, all threads together: what else runs on the machine does not count. */
const nowMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const world = { randomOf: seededRandom, nowMs };

export async function run(): Promise<BenchRow[]> {
  return [...MIXES.flatMap(rowsOf), await boundRow('pods_default')];
}

function rowsOf(mix: string): BenchRow[] {
  const runs = SEEDS.map((seed) => comparePacking({ ...filesOf(mix), seed, demand: DEMAND, maxMovedShare: 0.02 }, world));
  const mean = (policy: string): string => percent(runs.map((rows) => rowOf(rows, policy).allocatedShare));
  const moved = (policy: string): string => percent(runs.map((rows) => rowOf(rows, policy).movedShare));
  const rates = runs.map((rows) => rowOf(rows, 'purser').decisionsPerSecond).sort((a, b) => a - b);
  const withMoves = (policy: string): string => `${mean(policy)} (${moved(policy)} % moved)`;
  const row = (name: string, value: number | string, unit: string, goal?: string): BenchRow => ({
    ...{ name: nameOf(mix, name), value, unit },
    ...(goal && { goal }),
  });
  return [
    row('allocated, nothing moved', mean('purser'), '%', `≥ ${publishedOf(mix)}, the published descent`),
    row('allocated, few moved', withMoves('purser with moves'), '%'),
    row(
      'allocated, few moved, spoilers wait',
      withMoves('purser with waiting and moves'),
      '%',
      mix === 'pods_default' ? '≥ 97.0 at ≤ 2 %' : undefined,
    ),
    row('published descent, best fit, random here', ['fgd as published', 'best fit', 'random'].map(mean).join(', '), '%'),
    row('decisions for a second of processor time', rates[rates.length >> 1] ?? 0, '1/s', '≥ 10000'),
  ];
}

/** What nobody who seats everybody that fits can pass, however much is moved. */
async function boundRow(mix: string): Promise<BenchRow> {
  const solver = await openHighsSolver({ timeLimitMs: 60_000, gap: 0 });
  const { nodes, pods } = filesOf(mix);
  const bounds = SEEDS.map((seed) => {
    const cluster = new PackedCluster(nodes);
    const arrived = samplePods(pods, cluster.gpuMilli * DEMAND, seededRandom(seed));
    const { refused } = packPods(cluster, arrived, leastStranding(new PodMix()));
    const first = refused.find(({ kind }) => kind.need.gpus === 1)?.pod;
    const early = arrived.findIndex(({ name }) => name === first);
    return boundOfMoves({ arrived, early, devices: cluster.gpuMilli / WHOLE_GPU }, solver) / cluster.gpuMilli;
  });
  const value = percent(bounds);
  return { name: nameOf(mix, 'at most, if nobody who fits waits and any number is moved'), value, unit: '%' };
}

const filesOf = (mix: string) => ({
  nodes: readNodes(join(FOLDER, 'nodes.csv.gz')),
  pods: readPods(join(FOLDER, `${mix}.csv.gz`)),
});

const nameOf = (mix: string, name: string): string => `packing ${mix.slice('pods_'.length)}: ${name}`;

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
