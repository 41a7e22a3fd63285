import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { AwsCloud } from '../clouds/aws/aws-cloud.adapter.ts';
import { AwsSettings } from '../clouds/aws/aws-settings.adapter.ts';
import { AzureCloud } from '../clouds/azure/azure-cloud.adapter.ts';
import { AzureRetailPrices } from '../clouds/azure/azure-retail-prices.adapter.ts';
import { AzureSettings } from '../clouds/azure/azure-settings.adapter.ts';
import type { MachineProvider } from '../clouds/cloud-provider.port.ts';
import type { ConfiguredCloud, ConfiguredFeed } from '../clouds/configured-cloud.ts';
import { FileState } from '../clouds/file-state.adapter.ts';
import { GcpCloud } from '../clouds/gcp/gcp-cloud.adapter.ts';
import { GcpSettings } from '../clouds/gcp/gcp-settings.adapter.ts';
import { CommandCloud } from '../clouds/onprem/command-cloud.adapter.ts';
import { MachinesCloud } from '../clouds/onprem/machines-cloud.adapter.ts';
import { MachineRows, MachinesSettings } from '../clouds/onprem/machines-settings.adapter.ts';
import { problemWith, rowsOfCsv, type OwnMachine } from '../clouds/onprem/machine-list.ts';
import { CommandSettings, type OwnProgram } from '../clouds/onprem/run-command.adapter.ts';
import type { PriceFeed } from '../clouds/price-feed.port.ts';
import { SimulatedCloud } from '../clouds/simulated/simulated-cloud.adapter.ts';
import { SimulatedSettings } from '../clouds/simulated/simulated-settings.adapter.ts';
import { KARPENTER } from '../fleet/node.ts';
import type { Clock } from '../kernel/clock.ts';
import { MINUTE_MS } from '../kernel/instant.ts';
import { isName, NAME_RULE } from '../kernel/name.ts';
import type { Random } from '../kernel/random.ts';
import {
  PriceCsvSettings,
  priceCsvFeed,
  SkypilotCsvSettings,
  skypilotFeed,
  type TablePlace,
} from '../pricing/csv-price-feed.adapter.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ConfigError, readSetting, type Config } from './config.ts';
import { settingWords } from './settings-words.ts';

/** Everybody who is asked for machines, prices and bills. */
export interface Clouds {
  readonly clouds: readonly ConfiguredCloud[];
  /** Who rents machines, by the name that pools give. */
  readonly providers: ReadonlyMap<string, MachineProvider>;
  /** Who says prices, by name. */
  readonly feeds: ReadonlyMap<string, ConfiguredFeed>;
}

export interface OpenCloudsDeps {
  readonly config: Pick<Config, 'cloudsFile' | 'nodeCommand' | 'dataDir'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What is made of one entry of the file; who says prices is asked for them by `prices` of the entry. */
type Opened = Partial<Pick<ConfiguredCloud, 'machines' | 'bill' | 'check'>> & { readonly feed?: PriceFeed };

interface Entry {
  readonly name: string;
  readonly deps: OpenCloudsDeps;
}

interface Kind {
  /** Throws a ZodError that names what is wrong with the settings. */
  readonly open: (settings: unknown, entry: Entry) => Opened;
}

const IN_WORDS = { error: settingWords };

const kindOf = <T>(schema: z.ZodType<T>, open: (settings: T, entry: Entry) => Opened): Kind => ({
  open: (settings, entry) => open(schema.parse(settings, IN_WORDS), entry),
});

/** What can be named, by `kind`. No secret is in the settings: each finds credentials where its own tools look for them. */
const CLOUDS: Readonly<Record<string, Kind>> = {
  aws: kindOf(AwsSettings, (written, { name, deps }) => {
    const aws = new AwsCloud({ ...deps, name, settings: withBillBeside(written, deps) });
    return { machines: aws, feed: aws, bill: aws, check: aws };
  }),
  azure: kindOf(AzureSettings, (written, { name, deps }) => {
    const azure = new AzureCloud({ ...deps, name, settings: withBillBeside(written, deps) });
    return { machines: azure, feed: azure, bill: azure, check: azure };
  }),
  gcp: kindOf(GcpSettings, (written, { name, deps }) => {
    const settings = withBillBeside(written, deps);
    const gcp = new GcpCloud({ ...deps, name, settings });
    return { machines: gcp, feed: gcp, bill: settings.bill && gcp, check: gcp };
  }),
  command: kindOf(CommandSettings, (settings, { name }) => commanded(new CommandCloud(name, ownProgram(settings)))),
  machines: kindOf(MachinesSettings, ({ machines, region, capacityType, power, state }, entry) => {
    const list = { cloud: entry.name, region, capacityType, machines: machinesOf(machines, entry) };
    const own = new MachinesCloud({
      ...entry.deps,
      list,
      power: power ? ownProgram(power) : null,
      name: entry.name,
      state: stateOf(entry, state),
    });
    return { machines: own, feed: own, check: own };
  }),
  simulated: kindOf(SimulatedSettings, ({ state, ...settings }, entry) => {
    const simulated = new SimulatedCloud({ ...entry.deps, ...settings, name: entry.name, state: stateOf(entry, state) });
    return { machines: simulated, feed: simulated, bill: simulated, check: simulated };
  }),
};

/** What a provider that has nobody else to remember it must know after a restart. */
const stateOf = ({ name, deps }: Entry, folder?: string): FileState =>
  new FileState(folder === undefined ? join(deps.config.dataDir, 'clouds', name) : beside(folder, deps));

/** As they are written in the settings, or in the file that those name. */
function machinesOf(written: string | unknown[], { name, deps }: Entry): OwnMachine[] {
  const rows = typeof written === 'string' ? rowsOf(beside(written, deps)) : written;
  const machines = parsed([name, 'machines'], () => MachineRows.parse(rows, IN_WORDS));
  const problem = problemWith(machines);
  if (problem) throw wrong([name], `machines: ${problem}`);
  return machines;
}

function rowsOf(file: string): unknown {
  const text = readSetting(SETTING, file);
  const rows = file.endsWith('.csv') ? rowsOfCsv(text) : jsonOf(text);
  if (rows === null) throw wrong([], `${file}: it is no table with each line as long as its header`);
  return rows;
}

/** Feeds that are no clouds. */
const FEEDS: Readonly<Record<string, Kind>> = {
  'price-csv': kindOf(PriceCsvSettings, (place, entry) => ({ feed: priceCsvFeed(entry.name, besideFile(place, entry)) })),
  'skypilot-csv': kindOf(SkypilotCsvSettings, (place, entry) => ({ feed: skypilotFeed(entry.name, besideFile(place, entry)) })),
  'azure-retail': kindOf(z.strictObject({ endpoint: z.url().optional() }), ({ endpoint }, { deps }) => ({
    feed: new AzureRetailPrices({ ...deps, endpoint }),
  })),
};

/** A path in the file is taken from where the file is. */
const beside = (path: string, { config }: OpenCloudsDeps): string => resolve(dirname(config.cloudsFile ?? ''), path);

const besideFile = <T extends TablePlace>(place: T, { deps }: Entry): T =>
  place.path === undefined ? place : { ...place, path: beside(place.path, deps) };

const withBillBeside = <T extends { readonly bill: object | null }>(settings: T, deps: OpenCloudsDeps): T =>
  settings.bill && 'file' in settings.bill && typeof settings.bill.file === 'string'
    ? { ...settings, bill: { ...settings.bill, file: beside(settings.bill.file, deps) } }
    : settings;

const MAX_FEED_MINUTES = 1_440;

const Prices = z.strictObject({
  regions: z.array(z.string().regex(/^[^/\s]+\/[^/\s]+$/, 'must be provider/region, like aws/us-east-1')).min(1),
  /** Higher: prices are known late; lower: a source may refuse to answer so often. */
  everyMinutes: z.number().int().min(1).max(MAX_FEED_MINUTES).default(60),
});

const CloudEntry = z.looseObject({ kind: z.string(), prices: Prices.optional() });
const FeedEntry = z.looseObject({ kind: z.string(), name: z.string().optional(), ...Prices.shape });
const File = z.object({ feeds: z.array(FeedEntry).default([]) }).catchall(CloudEntry);

const SETTING = 'PURSER_CLOUDS_FILE';

/** Everybody whom `PURSER_CLOUDS_FILE` names, and the program of `PURSER_NODE_COMMAND`. Asks nobody anything and loads no SDK yet. */
export function openClouds(deps: OpenCloudsDeps): Clouds {
  const { cloudsFile, nodeCommand } = deps.config;
  const named = cloudsFile === null ? [] : fromFile(readSetting(SETTING, cloudsFile), deps);
  const clouds = nodeCommand === null ? named : [...named, commandCloud(nodeCommand)];
  const twice = clouds.find(({ name }, i) => clouds.findIndex((other) => other.name === name) !== i);
  if (twice) throw new ConfigError(`${SETTING}: there are two called ${twice.name}: give each a name of its own.`);
  return {
    clouds,
    providers: new Map(clouds.flatMap(({ name, machines }) => (machines ? [[name, machines] as const] : []))),
    feeds: new Map(clouds.flatMap(({ name, prices }) => (prices ? [[name, prices] as const] : []))),
  };
}

const NOTHING = { machines: null, prices: null, bill: null, check: null };

/** Programs of the operator know what this process was started with, less its own settings: its database and its keys are nobody else's business. */
const ownProgram = (settings: CommandSettings): OwnProgram => ({
  ...settings,
  env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PURSER_'))),
});

const commanded = (command: CommandCloud) => ({ machines: command, check: command });

const commandCloud = (program: string): ConfiguredCloud => {
  const command = new CommandCloud('command', ownProgram(CommandSettings.parse({ command: [program] })));
  return { ...NOTHING, name: command.name, kind: 'command', ...commanded(command) };
};

function fromFile(text: string, deps: OpenCloudsDeps): ConfiguredCloud[] {
  const { feeds, ...clouds } = parsed([], () => File.parse(jsonOf(text), IN_WORDS));
  return [
    ...Object.entries(clouds).map(([name, { kind, prices, ...settings }]) => {
      if (!isName(name)) throw new ConfigError(`${SETTING}: ${name}: a name ${NAME_RULE}.`);
      if (name === KARPENTER)
        throw new ConfigError(`${SETTING}: ${name}: pools say so of machines that Karpenter rents: choose another name.`);
      return openOne({ kind, settings, prices, path: [name], kinds: CLOUDS }, { name, deps });
    }),
    ...feeds.map(({ kind, name = kind, regions, everyMinutes, ...settings }, i) =>
      openOne({ kind, settings, prices: { regions, everyMinutes }, path: ['feeds', i], kinds: FEEDS }, { name, deps }),
    ),
  ];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${SETTING}: the file is no JSON: ${(error as Error).message}.`);
  }
}

interface Written {
  readonly kind: string;
  readonly settings: unknown;
  readonly prices: z.output<typeof Prices> | undefined;
  readonly path: readonly PropertyKey[];
  readonly kinds: Readonly<Record<string, Kind>>;
}

function openOne({ kind, settings, prices, path, kinds }: Written, entry: Entry): ConfiguredCloud {
  const found = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (!found) throw wrong(path, `kind: there is no "${kind}": one of ${Object.keys(kinds).join(', ')}`);
  const { feed, ...opened } = parsed(path, () => found.open(settings, entry));
  if (prices && !feed) throw wrong(path, `prices: ${kind} says no prices: leave them out`);
  const asked = feed && prices ? { feed, regions: prices.regions, intervalMs: prices.everyMinutes * MINUTE_MS } : null;
  return { ...NOTHING, name: entry.name, kind, ...opened, prices: asked };
}

/** Says of what is wrong where it is written. */
function parsed<T>(path: readonly PropertyKey[], parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    throw wrong(
      [],
      error.issues.map((issue) => `${[...path, ...issue.path].join('.') || 'the file'}: ${issue.message}`).join('; '),
    );
  }
}

const wrong = (path: readonly PropertyKey[], words: string): ConfigError =>
  new ConfigError(`${SETTING}: ${[...path, words].join('.')}. See docs/operations.md.`);
