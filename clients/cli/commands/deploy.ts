import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type {
  AdoptInput,
  CapacityType,
  DeployClusterInput,
  DeployInput,
  DeployMutation,
} from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { money, table, wholeNumber } from '../output.ts';
import { parsePath } from '../paths.ts';
import { costLine, peakLine } from '../plans.ts';
import { found, refuse } from '../refusals.ts';

const Deploy = graphql(`
  mutation Deploy($input: DeployInput!, $dryRun: Boolean!, $planHash: String, $expectedVersion: Int, $idempotencyKey: String) {
    deploy(
      input: $input
      dryRun: $dryRun
      planHash: $planHash
      expectedVersion: $expectedVersion
      idempotencyKey: $idempotencyKey
    ) {
      deployment {
        id
        path
        generation
        endpoint {
          url
        }
        rollout {
          startedAt
          endedAt
        }
      }
      plan {
        hash
        expiresAt
        peakReplicas
        risks
        actions {
          kind
          message
        }
        candidates {
          offering {
            provider
            region
            instanceType
            capacityType
          }
          hourly {
            amount
          }
          monthly {
            amount
          }
          chosen
          rejectedBecause {
            code
            message
          }
        }
        costDelta {
          amount
        }
        monthlyEstimate {
          amount
        }
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const Status = graphql(`
  query DeploymentStatus($path: String!) {
    deployment(by: { path: $path }) {
      generation
      status {
        phase
        observedGeneration
        conditions {
          type
          status
          message
        }
      }
      rollout {
        state
        reason
        startedAt
      }
    }
  }
`);

interface DeployOptions {
  readonly model?: string;
  readonly modelVersion?: string;
  readonly alias?: string;
  readonly replicas?: string;
  readonly concurrency?: string;
  readonly maxReplicas?: string;
  readonly maxSpendPerHour?: string;
  readonly region?: string[];
  readonly capacity?: string;
  readonly cluster?: string[];
  readonly pool?: string;
  readonly adopt?: string;
  readonly expectedVersion?: string;
  readonly plan?: boolean;
  readonly planHash?: string;
  readonly wait?: boolean;
  readonly timeout: string;
}

export function addDeployCommand(program: Command, cli: () => Cli): void {
  program
    .command('deploy <deployment>')
    .description('plan and run a model version at team/project/name')
    .option('--model <model>', 'name of the model in the project (default: the name of the deployment)')
    .option('--model-version <number>', 'version number (default: the newest)')
    .option('--alias <alias>', 'the version that this alias points at')
    .option('--replicas <n>', 'replicas; 0 = hibernated')
    .option('--concurrency <n>', 'requests that one replica handles at a time')
    .option('--max-replicas <n>', 'never more than this (default of the project)')
    .option('--max-spend-per-hour <usd>', 'never dearer than this (default of the project)')
    .option('--region <regions...>', 'only these, provider/region')
    .option('--capacity <types>', 'only these, comma-separated: on_demand, spot, reserved')
    .option('--cluster <clusters...>', 'where replicas run: name, name=weight to share them out, name=weight@1 to stand by')
    .option('--pool <pool>', 'on which kind of capacity there')
    .option('--adopt <namespace/name>', 'take over a Deployment that runs in the cluster already, without a restart')
    .option('--expected-version <n>', 'refuse if somebody changed the deployment since')
    .option('--plan', 'show the priced plan and why the other offerings lost; change nothing')
    .option('--plan-hash <hash>', 'run exactly this plan, or nothing')
    .option('--wait', 'return when it is ready')
    .option('--timeout <seconds>', 'how long --wait waits', '120')
    .action((path: string, options: DeployOptions) => deploy(cli(), path, options));
}

async function deploy(cli: Cli, path: string, options: DeployOptions): Promise<void> {
  const timeoutMs = wholeNumber('--timeout', options.timeout) * 1000;
  const variables = {
    input: inputOf(path, options),
    dryRun: options.plan ?? false,
    planHash: options.planHash ?? null,
    expectedVersion: options.expectedVersion === undefined ? null : wholeNumber('--expected-version', options.expectedVersion),
    idempotencyKey: options.plan ? null : randomUUID(),
  };
  const { deploy: payload } = await cli.client().request(Deploy, variables);
  refuse(payload.userErrors);
  const plan = found(payload.plan, 'plan');
  if (options.plan) {
    cli.output.result(plan, () => planText(plan, path));
    return;
  }
  const deployment = found(payload.deployment, 'deployment');
  const { rollout, ...shown } = deployment;
  // A rollout that had ended before says nothing about this wish.
  const over = rollout?.endedAt ? rollout.startedAt : null;
  if (options.wait) await untilReady(cli, path, { timeoutMs, over });
  const next = options.wait ? `Next: purser describe ${path}` : `Next: purser events --deployment ${path} --follow`;
  cli.output.result({ ...shown, plan }, () =>
    [
      ...actionLines(plan),
      `${path} is ${options.wait ? 'ready' : 'on its way'} at ${deployment.endpoint.url}`,
      costLine(plan),
      next,
    ].join('\n'),
  );
}

const NUMBERS = {
  modelVersion: '--model-version',
  replicas: '--replicas',
  concurrency: '--concurrency',
  maxReplicas: '--max-replicas',
} as const;

function inputOf(path: string, options: DeployOptions): DeployInput {
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
    ...(options.alias === undefined ? {} : { alias: options.alias }),
    ...(options.maxSpendPerHour === undefined ? {} : { maxSpendPerHour: options.maxSpendPerHour }),
    ...(options.region === undefined ? {} : { regions: options.region }),
    ...(options.capacity === undefined ? {} : { capacityTypes: options.capacity.split(',').map(capacityOf) }),
    ...(options.cluster === undefined ? {} : { clusters: options.cluster.map(clusterOf) }),
    ...(options.pool === undefined ? {} : { pool: options.pool }),
    ...(options.adopt === undefined ? {} : { adopt: adoptedOf(options.adopt) }),
  };
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

type Plan = NonNullable<DeployMutation['deploy']['plan']>;

/** A plan holds no more: 20 that fit and 20 that do not. */
const MAX_CANDIDATES = 40;

function planText(plan: Plan, path: string): string {
  return [
    ...actionLines(plan),
    '',
    table(
      ['', 'offering', 'region', 'capacity', 'per hour', 'per month', 'why'],
      plan.candidates.map(({ offering, hourly, monthly, chosen, rejectedBecause }) => [
        chosen ? '*' : '',
        `${offering.provider} ${offering.instanceType}`,
        offering.region,
        offering.capacityType.toLowerCase(),
        hourly ? money(hourly.amount) : '-',
        monthly ? money(monthly.amount) : '-',
        chosen ? 'chosen: the best of those that fit' : `${rejectedBecause?.code ?? ''}: ${rejectedBecause?.message ?? ''}`,
      ]),
    ),
    ...(plan.candidates.length >= MAX_CANDIDATES ? ['The best that fit and the others that came closest; there are more.'] : []),
    '',
    ...plan.risks.map((risk) => `Risk: ${risk}`),
    costLine(plan),
    peakLine(plan),
    `Next: purser deploy ${path} --plan-hash ${plan.hash} --wait (with the same options)`,
  ].join('\n');
}

const actionLines = ({ actions }: Plan): string[] => actions.map((action) => `- ${action.message}`);

/** How often `--wait` looks. Higher: it returns late; lower: the server is asked needlessly. */
const POLL_MS = 300;

/** Resolves once the newest generation is ready; throws when it failed, was rolled back or the time is over. */
async function untilReady(
  cli: Cli,
  path: string,
  { timeoutMs, over }: { timeoutMs: number; over: string | null },
): Promise<void> {
  const api = cli.client();
  const deadline = Date.now() + timeoutMs;
  for (let told = ''; ;) {
    const { deployment } = await api.request(Status, { path });
    const state = stateOf(found(deployment, 'deployment'), over);
    if (state.outcome === 'ready') return;
    if (state.outcome === 'failed') throw new CommandFailure(`${path} failed: ${state.why}`, EXIT.NOT_READY);
    if (Date.now() > deadline)
      throw new CommandFailure(`${path} is not ready yet (${state.phase}). ${state.why}`, EXIT.NOT_READY);
    if (state.why !== told) cli.output.note(`${state.phase}: ${state.why}`);
    told = state.why;
    await sleep(POLL_MS);
  }
}

export interface WaitState {
  readonly outcome: 'ready' | 'failed' | 'on its way';
  readonly phase: string;
  readonly why: string;
}

export interface Watched {
  readonly generation: number;
  readonly status: {
    readonly phase: string;
    readonly observedGeneration: number;
    readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[];
  };
  readonly rollout: { readonly state: string; readonly reason: string | null; readonly startedAt: string } | null;
}

/** What `--wait` makes of a look; `over` is the start of a rollout that does not count. */
export function stateOf({ generation, status, rollout: last }: Watched, over: string | null): WaitState {
  const rollout = last?.startedAt === over ? null : last;
  const seen = status.observedGeneration >= generation;
  const outcome = seen ? outcomeOf(status.phase, rollout?.state ?? '') : 'on its way';
  return { outcome, phase: status.phase, why: reasonsOf(status, rollout?.reason ?? '') };
}

function outcomeOf(phase: string, rollout: string): WaitState['outcome'] {
  if (phase === 'FAILED' || rollout === 'ROLLED_BACK' || rollout === 'FAILED') return 'failed';
  return phase === 'READY' || phase === 'HIBERNATED' ? 'ready' : 'on its way';
}

function reasonsOf({ conditions }: Watched['status'], why: string): string {
  const unmet = conditions.filter((condition) => condition.type !== 'Progressing' && condition.status !== 'True');
  const messages = unmet.map((condition) => condition.message);
  const known = messages.some((message) => message.includes(why));
  return [...messages, known ? '' : why].filter(Boolean).join(' ') || 'waiting for the first look';
}
