import { join } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { comparePacking } from '../simulation/compare-packing.ts';
import { readNodes, readPods } from '../simulation/packing-files.adapter.ts';
import { packingText } from '../simulation/packing-report.ts';
import { PackingError } from '../simulation/parse-packing.ts';
import { seededRandom } from '../simulation/seeded-random.ts';
import { packageRoot } from './package-root.ts';
import { StartError } from './start-error.ts';

const BUNDLED = join(packageRoot, 'deploy', 'traces', 'packing');

interface PackingOptions {
  readonly nodes: string;
  readonly pods: string;
  readonly seed: number;
  readonly demand: number;
  readonly maxMoved: number;
  readonly json?: true;
}

/** `purser simulate packing`: places the pods of a recorded workload on the nodes of a recorded cluster, one after the other. */
export function addPackingCommand(program: Command): void {
  program
    .command('packing')
    .description(
      'place pods on nodes one after the other: share of the devices that is allocated, beside what others would have done',
    )
    .addOption(
      new Option('--nodes <file>', 'CSV: sn,cpu_milli,memory_mib,gpu,model').default(bundled('nodes'), 'a bundled cluster'),
    )
    .addOption(
      new Option('--pods <file>', 'CSV: name,cpu_milli,memory_mib,num_gpu,gpu_milli[,gpu_spec]').default(
        bundled('pods_default'),
        'a bundled workload',
      ),
    )
    .option(
      '--seed <number>',
      'draws which pods arrive, and in which order',
      numberOf('A whole number from 0 to 2147483647.', isSeed),
      1,
    )
    .option(
      '--demand <ratio>',
      'devices asked for over those that there are',
      numberOf('A number above 0, at most 10.', isDemand),
      1.3,
    )
    .option('--max-moved <share>', 'share of the pods that may be moved', numberOf('A number from 0 to 1.', isShare), 0.02)
    .option('--json', 'print one JSON document')
    .action(simulatePacking);
}

function simulatePacking({ nodes, pods, seed, demand, maxMoved, json }: PackingOptions): void {
  const cluster = { nodes: read('--nodes', () => readNodes(nodes)), pods: read('--pods', () => readPods(pods)) };
  if (!json)
    console.error(`Placing pods on ${cluster.nodes.length} nodes by one policy after the other; many nodes take a while …`);
  const world = { randomOf: seededRandom, nowMs: () => performance.now() };
  const rows = comparePacking({ ...cluster, seed, demand, maxMovedShare: maxMoved }, world);
  console.log(json ? JSON.stringify({ seed, demand, rows }) : packingText(rows));
}

function read<T>(option: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof PackingError) throw new StartError(`${option}: ${error.message}`);
    throw error;
  }
}

const bundled = (name: string): string => join(BUNDLED, `${name}.csv.gz`);

const numberOf =
  (expected: string, accepts: (value: number) => boolean) =>
  (text: string): number => {
    if (text.trim() === '' || !accepts(Number(text))) throw new InvalidArgumentError(expected);
    return Number(text);
  };

const isSeed = (value: number): boolean => Number.isInteger(value) && value >= 0 && value < 2 ** 31;
const isDemand = (value: number): boolean => value > 0 && value <= 10;
const isShare = (value: number): boolean => value >= 0 && value <= 1;
