import type { Command } from 'commander';
import type {
  AcceleratorInput,
  AdoptInput,
  CallersInput,
  CapacityType,
  DeployClusterInput,
  DeployInput,
  PlacementPolicyInput,
} from '../typescript/generated/graphql.ts';
import { CommandFailure, EXIT } from './exit-codes.ts';
import { wholeNumber } from './output.ts';
import { parsePath } from './paths.ts';
import { duration } from './values.ts';

/** What a command line says of a deployment. */
export interface WishOptions {
  readonly model?: string;
  readonly modelVersion?: string;
  readonly alias?: string;
  readonly replicas?: string;
  readonly requestsPerSecond?: string;
  readonly concurrency?: string;
  readonly maxReplicas?: string;
  readonly maxSpendPerHour?: string;
  readonly readyWithin?: string;
  readonly region?: string[];
  readonly capacity?: string;
  readonly cluster?: string[];
  readonly pool?: string;
  readonly adopt?: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly gpu?: string;
  readonly residency?: string[];
  readonly minOnDemand?: string;
  readonly zones?: string;
  readonly latency?: string;
  readonly caller?: string[];
  readonly outageCost?: string;
  readonly near?: string[];
  readonly apart?: string[];
  readonly moves?: boolean;
  readonly placeAnew?: boolean;
}

export const withWishOptions = (command: Command): Command =>
  command
    .option('--model <model>', 'name of the model in the project (default: the name of the deployment)')
    .option('--model-version <number>', 'version number (default: the newest)')
    .option('--alias <alias>', 'the version that this alias points at')
    .option('--replicas <n>', 'replicas; 0 = hibernated')
    .option('--requests-per-second <n>', 'instead of replicas: as many as carry this, where that costs least')
    .option('--concurrency <n>', 'requests that one replica handles at a time')
    .option('--max-replicas <n>', 'never more than this (default of the project)')
    .option('--max-spend-per-hour <usd>', 'never dearer than this (default of the project)')
    .option('--ready-within <duration>', 'a replica that is not ready by then has failed: 90s, 10m (default: 120s)')
    .option('--cpu <milli>', 'thousandths of a CPU per replica, with --memory (default: what the version says)')
    .option('--memory <mib>', 'memory per replica in MiB')
    .option('--gpu <model>', 'MODEL[:GIB], such as T4 or any:8 for whatever GPU has 8 GiB; with --cpu and --memory')
    .option('--region <regions...>', 'only these, provider/region; * for any: aws/* (default: as it was, else PURSER_REGIONS)')
    .option('--capacity <types>', 'only these, comma-separated: on_demand, spot, reserved')
    .option('--residency <regions...>', 'where law or contract allows it to be, whatever --region says')
    .option('--min-on-demand <percent>', 'at least this share on capacity that is not taken away')
    .option('--zones <n>', 'at least so many zones share the replicas')
    .option('--latency <ms>', 'no --caller may be further away than this round trip')
    .option('--caller <regions...>', 'whence requests come: REGION or REGION=MIB-PER-HOUR of answers')
    .option('--outage-cost <usd>', 'what an hour without one replica is worth: the higher, the less spot (default 1)')
    .option('--near <deployments...>', 'in a region of one of these, of the same project')
    .option('--apart <deployments...>', 'in no region of any of these')
    .option('--moves', 'moved to a cheaper place by itself when that is worth it (else it is proposed)')
    .option('--place-anew', 'where it is cheapest now, the move counted, though nothing else is asked for')
    .option('--cluster <clusters...>', 'where replicas run: name, name=weight to share them out, name=weight@1 to stand by')
    .option('--pool <pool>', 'on which kind of capacity there')
    .option('--adopt <namespace/name>', 'take over a Deployment that runs in the cluster already, without a restart');

/** How a plan is run says nothing of the wish. */
const OF_THE_RUN: ReadonlySet<string> = new Set(['plan', 'planHash', 'wait', 'timeout']);

/** What was wished for as it was written, each with a blank before it, so that the next command can be pasted into a shell. */
export const asWritten = (command: Command): string =>
  command.options
    .filter((option) => !OF_THE_RUN.has(option.attributeName()))
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .flatMap((option) => [option.long ?? '', ...writtenValues(command.getOptionValue(option.attributeName()))])
    .map((word) => ` ${/^[\w./:=@,+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`}`)
    .join('');

/** A flag has none. */
const writtenValues = (value: unknown): string[] => (value === true ? [] : ([value].flat() as string[]));

const NUMBERS = {
  modelVersion: '--model-version',
  replicas: '--replicas',
  concurrency: '--concurrency',
  maxReplicas: '--max-replicas',
} as const;

/** The wish of a command line for `team/project/name`. */
export function inputOf(path: string, options: WishOptions): DeployInput {
  const { projectPath, name } = parsePath(path);
  const numbers = (Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]).flatMap((key) => {
    const text = options[key];
    return text === undefined ? [] : [[key, wholeNumber(NUMBERS[key], text)] as const];
  });
  return {
    project: { path: projectPath },
    name,
    model: options.model ?? name,
    ...Object.fromEntries(numbers),
    ...(options.requestsPerSecond === undefined
      ? {}
      : { requestsPerSecond: rateOf('--requests-per-second', options.requestsPerSecond) }),
    ...(options.alias === undefined ? {} : { alias: options.alias }),
    ...limitsOf(options),
    ...(options.region === undefined ? {} : { regions: options.region }),
    ...(options.capacity === undefined ? {} : { capacityTypes: options.capacity.split(',').map(capacityOf) }),
    ...(options.cluster === undefined ? {} : { clusters: options.cluster.map(clusterOf) }),
    ...(options.pool === undefined ? {} : { pool: options.pool }),
    ...(options.adopt === undefined ? {} : { adopt: adoptedOf(options.adopt) }),
    ...resourcesOf(options),
    ...policyOf(options),
  };
}

const limitsOf = ({
  maxSpendPerHour,
  readyWithin,
}: WishOptions): Pick<DeployInput, 'maxSpendPerHour' | 'readinessTimeoutMs'> => ({
  ...(maxSpendPerHour === undefined ? {} : { maxSpendPerHour }),
  ...(readyWithin === undefined ? {} : { readinessTimeoutMs: duration('--ready-within', readyWithin) }),
});

function resourcesOf({ cpu, memory, gpu }: WishOptions): Pick<DeployInput, 'resources'> {
  if (cpu === undefined && memory === undefined && gpu === undefined) return {};
  if (cpu === undefined || memory === undefined) throw new CommandFailure('Give --cpu and --memory, both.', EXIT.USAGE);
  const sizes = { cpuMilli: wholeNumber('--cpu', cpu), memoryMib: wholeNumber('--memory', memory) };
  return { resources: { ...sizes, ...(gpu === undefined ? {} : { accelerator: gpuOf(gpu) }) } };
}

const MIB_PER_GIB = 1024;

/** `T4`, or `any:8` for whatever GPU has 8 GiB. */
export function gpuOf(text: string): AcceleratorInput {
  const [model = '', gib] = text.split(':');
  return { model, ...(gib === undefined ? {} : { memoryMib: wholeNumber('--gpu', gib) * MIB_PER_GIB }) };
}

/** A number above zero, with at most three decimals. */
export function rateOf(flag: string, text: string): number {
  if (!/^\d{1,7}(\.\d{1,3})?$/.test(text) || Number(text) === 0)
    throw new CommandFailure(`${flag} takes requests per second such as 40 or 0.25.`, EXIT.USAGE);
  return Number(text);
}

function policyOf({
  residency,
  minOnDemand,
  zones,
  latency,
  caller,
  outageCost,
  near,
  apart,
  moves,
}: WishOptions): Pick<DeployInput, 'policy'> {
  const number = (flag: string, text: string | undefined) => (text === undefined ? undefined : wholeNumber(flag, text));
  const said = {
    ...{ residency, near, apart, moves, callers: caller?.map(callerOf) },
    minOnDemandPercent: number('--min-on-demand', minOnDemand),
    zones: number('--zones', zones),
    latencyMs: number('--latency', latency),
    outageCostPerHour: outageCost,
  };
  const policy: PlacementPolicyInput = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
  return Object.keys(policy).length > 0 ? { policy } : {};
}

function callerOf(text: string): CallersInput {
  const [region = '', mib] = text.split('=');
  return { region, ...(mib === undefined ? {} : { mibPerHour: wholeNumber('--caller', mib) }) };
}

function clusterOf(text: string): DeployClusterInput {
  const [cluster = '', share] = text.split('=');
  const [weight = '', order] = (share ?? '').split('@');
  return {
    cluster,
    ...(share === undefined ? {} : { weight: wholeNumber('--cluster', weight) }),
    ...(order === undefined ? {} : { order: wholeNumber('--cluster', order) }),
  };
}

function adoptedOf(text: string): AdoptInput {
  const match = /^([^/]+)\/([^/]+)$/.exec(text);
  if (!match) throw new CommandFailure(`--adopt "${text}" must be NAMESPACE/NAME.`, EXIT.USAGE);
  const [, namespace = '', name = ''] = match;
  return { namespace, name };
}

const CAPACITIES: readonly CapacityType[] = ['ON_DEMAND', 'SPOT', 'RESERVED'];

function capacityOf(text: string): CapacityType {
  const capacity = CAPACITIES.find((name) => name === text.trim().toUpperCase());
  if (!capacity) throw new CommandFailure(`--capacity "${text}" must be on_demand, spot or reserved.`, EXIT.USAGE);
  return capacity;
}
