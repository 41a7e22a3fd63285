import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { compareSpot } from '../simulation/compare-spot.ts';
import { TraceError } from '../simulation/parse-spot-traces.ts';
import { spotText } from '../simulation/spot-report.ts';
import { readSpotTraces } from '../simulation/spot-traces.adapter.ts';
import { packageRoot } from './package-root.ts';
import { addPackingCommand } from './simulate-packing.ts';
import { StartError } from './start-error.ts';

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** As the command line says it (docs/cli.md). */
const WRONG_ARGUMENTS = 2;

const BUNDLED = join(packageRoot, 'deploy', 'traces', 'spot');

interface SpotOptions {
  readonly traces: string;
  readonly replicas: number;
  readonly onDemandRatio: number;
  readonly launchDelay: number;
  readonly json?: true;
}

/** `purser simulate`: tries policies in virtual time. Reads files and writes a report; it needs no installation. */
export async function simulate(): Promise<void> {
  const program = new Command('purser simulate').description('try policies on recorded markets and workloads, in virtual time');
  program.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : WRONG_ARGUMENTS));
  program
    .command('spot')
    .description('serve from spot capacity: cost and share of time filled, beside what others would have done')
    .addOption(new Option('--traces <folder>', 'index.csv and the traces that it names').default(BUNDLED, 'the bundled ones'))
    .option('--replicas <count>', 'replicas wished for', countOf, 4)
    .option('--on-demand-ratio <ratio>', 'price of on-demand over that of spot', ratioOf, 3)
    .addOption(
      new Option('--launch-delay <duration>', 'from a launch until the replica is ready')
        .argParser(durationOf)
        .default(180_000, '180s'),
    )
    .option('--json', 'print one JSON document')
    .action(simulateSpot);
  addPackingCommand(program);
  await program.parseAsync(process.argv.slice(3), { from: 'user' });
}

function simulateSpot({ traces, replicas, onDemandRatio, launchDelay, json }: SpotOptions): void {
  const scenario = { replicas, onDemandRatio, launchMs: launchDelay };
  const rows = groupsOf(traces).flatMap((group) => compareSpot({ ...scenario, group }));
  console.log(json ? JSON.stringify({ rows }) : spotText(rows));
}

function groupsOf(folder: string) {
  try {
    return readSpotTraces(folder);
  } catch (error) {
    if (error instanceof TraceError) throw new StartError(`--traces: ${error.message}`);
    throw error;
  }
}

function countOf(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1 || count > 1_000)
    throw new InvalidArgumentError('A whole number from 1 to 1000.');
  return count;
}

function ratioOf(text: string): number {
  const ratio = Number(text);
  if (!(ratio >= 1 && ratio <= 1_000)) throw new InvalidArgumentError('A number from 1 to 1000.');
  return ratio;
}

function durationOf(text: string): number {
  const [, amount = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  if (!(Number(amount) > 0)) throw new InvalidArgumentError('A duration such as 180s, 3m or 500ms.');
  return Math.round(Number(amount) * UNITS[unit as keyof typeof UNITS]);
}
