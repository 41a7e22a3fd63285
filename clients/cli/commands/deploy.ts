import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { DeployMutation } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { wholeNumber } from '../output.ts';
import { candidateLines, costLine, peakLine, placeLines } from '../plans.ts';
import { found, refuse } from '../refusals.ts';
import { showJointPlan, type JointOptions } from '../joint-plan.ts';
import { asWritten, inputOf, withWishOptions, type WishOptions } from '../wish-options.ts';

const Deploy = graphql(`
  mutation Deploy(
    $input: DeployInput!
    $dryRun: Boolean!
    $planHash: String
    $expectedVersion: Int
    $placeAnew: Boolean!
    $idempotencyKey: String
  ) {
    deploy(
      input: $input
      dryRun: $dryRun
      planHash: $planHash
      expectedVersion: $expectedVersion
      placeAnew: $placeAnew
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
        why
        wouldChange
        places {
          cluster
          pool
          offering
          zone
          replicas
          machines
          hourly {
            amount
          }
        }
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
          priceSource
          monthly {
            amount
          }
          score {
            amount
          }
          replicas
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

interface DeployOptions extends WishOptions {
  readonly expectedVersion?: string;
  readonly plan?: boolean;
  readonly planHash?: string;
  readonly wait?: boolean;
  readonly timeout: string;
}

export function addDeployCommand(program: Command, cli: () => Cli): void {
  withWishOptions(program.command('deploy <deployment>').description('plan and run a model version at team/project/name'))
    .option('--expected-version <n>', 'refuse if somebody changed the deployment since')
    .option('--plan', 'show the priced plan and why the other offerings lost; change nothing')
    .option('--plan-hash <hash>', 'run exactly this plan, or nothing')
    .option('--wait', 'return when it is ready')
    .option('--timeout <seconds>', 'how long --wait waits', '120')
    .action((path: string, options: DeployOptions, command: Command) =>
      options.plan ? showPlan(cli(), path, options, asWritten(command)) : deploy(cli(), path, options),
    );
  withWishOptions(
    program.command('plan [deployment]').description('what a wish would come to, where and at which price; changes nothing'),
  )
    .option('--all [project]', 'a joint plan over everything that runs, of team/project or all: machines shared')
    .option('--exact', 'with --all: better and bound it by a solver')
    .action((path: string | undefined, options: WishOptions & JointOptions, command: Command) =>
      options.all
        ? showJointPlan(cli(), options)
        : showPlan(cli(), named(path), { ...options, timeout: '0' }, asWritten(command)),
    );
}

function named(path: string | undefined): string {
  if (path !== undefined) return path;
  throw new CommandFailure('Name a deployment, team/project/name, or give --all.', EXIT.USAGE);
}

async function deploy(cli: Cli, path: string, options: DeployOptions): Promise<void> {
  const timeoutMs = wholeNumber('--timeout', options.timeout) * 1000;
  const variables = { ...variablesOf(path, options), dryRun: false, idempotencyKey: randomUUID() };
  const { deploy: payload } = await cli.client().request(Deploy, variables);
  refuse(payload.userErrors);
  const plan = found(payload.plan, 'plan');
  const deployment = found(payload.deployment, 'deployment');
  const { rollout, ...shown } = deployment;
  // A rollout that had ended before says nothing about this wish.
  const over = rollout?.endedAt ? rollout.startedAt : null;
  if (options.wait) await untilReady(cli, path, { timeoutMs, over });
  const next = options.wait ? `Next: purser describe ${path}` : `Next: purser events --deployment ${path} --follow`;
  cli.output.result({ ...shown, plan }, () =>
    [
      ...actionLines(plan),
      ...placeLines(plan.places),
      `${path} is ${options.wait ? 'ready' : 'on its way'} at ${deployment.endpoint.url}`,
      costLine(plan),
      next,
    ].join('\n'),
  );
}

/** A wish that cannot be had shows what was looked at, too. */
async function showPlan(cli: Cli, path: string, options: DeployOptions, written: string): Promise<void> {
  const { deploy: payload } = await cli
    .client()
    .request(Deploy, { ...variablesOf(path, options), dryRun: true, idempotencyKey: null });
  const looked = payload.userErrors.length > 0 ? candidateLines(payload.plan?.candidates ?? []) : [];
  if (looked.length > 0) cli.output.note(looked.join('\n'));
  refuse(payload.userErrors);
  const plan = found(payload.plan, 'plan');
  cli.output.result(plan, () => planText(plan, `${path}${written}`));
}

const variablesOf = (path: string, { planHash, expectedVersion, placeAnew = false, ...options }: DeployOptions) => ({
  placeAnew,
  input: inputOf(path, options),
  planHash: planHash ?? null,
  expectedVersion: expectedVersion === undefined ? null : wholeNumber('--expected-version', expectedVersion),
});

type Plan = NonNullable<DeployMutation['deploy']['plan']>;

function planText(plan: Plan, wish: string): string {
  return [
    ...actionLines(plan),
    '',
    ...placeLines(plan.places),
    '',
    ...candidateLines(plan.candidates),
    '',
    plan.why,
    ...plan.wouldChange,
    ...plan.risks.map((risk) => `Risk: ${risk}`),
    costLine(plan),
    peakLine(plan),
    `Next: purser deploy ${wish} --plan-hash ${plan.hash} --wait`,
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
