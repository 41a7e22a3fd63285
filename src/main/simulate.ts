import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { compareSpot, type SpotRow } from '../simulation/compare-spot.ts';
import { makeMarket, MARKETS } from '../simulation/made-up-market.ts';
import { TraceError } from '../simulation/parse-spot-traces.ts';
import { seededRandom } from '../simulation/seeded-random.ts';
import { spotChart } from '../simulation/spot-chart.ts';
import type { SpotGroup } from '../simulation/spot-market.ts';
import { spotText } from '../simulation/spot-report.ts';
import { readSpotPrices, readSpotTraces } from '../simulation/spot-traces.adapter.ts';
import { packageRoot } from './package-root.ts';
import { addPackingCommand } from './simulate-packing.ts';
import { StartError } from './start-error.ts';

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** As the command line says it (docs/cli.md). */
const WRONG_ARGUMENTS = 2;

const BUNDLED = join(packageRoot, 'deploy', 'traces', 'spot');
const PRICES = join(packageRoot, 'deploy', 'traces', 'spot-prices');

interface SpotOptions {
  readonly traces: string;
  readonly replicas: number;
  readonly onDemandRatio: number;
  readonly launchDelay: number;
  /** True = the bundled ones. */
  readonly prices?: string | true;
  readonly market?: number;
  readonly chart?: string;
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
    .addOption(new Option('--prices [folder]', 'prices.csv (default: the bundled ones): bill spot at the price of the moment'))
    .addOption(
      new Option('--market <seed>', 'made-up markets instead of traces').argParser(seedOf).conflicts(['traces', 'prices']),
    )
    .option('--chart <file>', 'write cost against share filled as an SVG picture')
    .option('--json', 'print one JSON document')
    .action(simulateSpot);
  addPackingCommand(program);
  try {
    await program.parseAsync(process.argv.slice(3), { from: 'user' });
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    console.error(`purser: ${error.message}`);
    process.exitCode = WRONG_ARGUMENTS;
  }
}

/** Each table as soon as it is known: all of them take a while. */
function simulateSpot({ replicas, onDemandRatio, launchDelay, json, chart, ...markets }: SpotOptions): void {
  const scenario = { replicas, onDemandRatio, launchMs: launchDelay };
  const groups = groupsOf(markets);
  if (chart !== undefined) writing(chart, () => accessSync(dirname(chart), constants.W_OK));
  const rows: SpotRow[] = [];
  for (const group of groups) {
    const own = compareSpot({ ...scenario, group });
    if (!json) console.log(`${rows.length > 0 ? '\n' : ''}${spotText(group, own)}`);
    rows.push(...own);
  }
  if (chart !== undefined) writing(chart, () => writeFileSync(chart, spotChart(rows)));
  if (json) console.log(JSON.stringify({ rows }));
}

function groupsOf({ traces, prices, market }: Pick<SpotOptions, 'traces' | 'prices' | 'market'>): SpotGroup[] {
  if (market !== undefined)
    return MARKETS.map((shape, n) => makeMarket(shape, seededRandom(market + n), `made up ${market}.${n + 1}`));
  const recorded = prices === undefined ? undefined : named('--prices', () => readSpotPrices(prices === true ? PRICES : prices));
  const groups = named('--traces', () => readSpotTraces(traces, recorded));
  if (recorded && !groups.some((group) => group.traces.some((trace) => trace.prices)))
    throw new StartError(
      '--prices: prices.csv has none of these pools; instance_type, zone and start_date must be those of index.csv.',
    );
  return groups;
}

function named<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TraceError) throw new StartError(`${option}: ${error.message}`);
    throw error;
  }
}

function writing(path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    throw new StartError(`--chart: ${path} cannot be written: ${(error as Error).message}`);
  }
}

function countOf(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1 || count > 1_000)
    throw new InvalidArgumentError('A whole number from 1 to 1000.');
  return count;
}

function seedOf(text: string): number {
  const seed = Number(text);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new InvalidArgumentError('A whole number, 0 or more.');
  return seed;
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
