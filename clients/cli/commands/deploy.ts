import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import type { PurserClient } from '../../typescript/purser-client.ts';
import { graphql } from '../../typescript/generated/gql.ts';
import type { DeployInput, DeployMutation } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { money, table } from '../output.ts';
import { parsePath } from '../paths.ts';
import { found, refuse } from '../refusals.ts';

const Deploy = graphql(`
  mutation Deploy($input: DeployInput!, $dryRun: Boolean!, $planHash: String, $idempotencyKey: String) {
    deploy(input: $input, dryRun: $dryRun, planHash: $planHash, idempotencyKey: $idempotencyKey) {
      deployment {
        id
        path
        endpoint {
          url
        }
      }
      plan {
        hash
        expiresAt
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
          chosen
          rejectedBecause {
            code
            message
          }
        }
        costDelta {
          amount
        }
      }
      userErrors {
        code
        message
        path
        hint
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
    }
  }
`);

const Rollback = graphql(`
  mutation Rollback($input: RollbackInput!) {
    rollback(input: $input) {
      deployment {
        path
      }
      userErrors {
        code
        message
        path
        hint
      }
    }
  }
`);

const Scale = graphql(`
  mutation Scale($input: ScaleDeploymentInput!) {
    scaleDeployment(input: $input) {
      deployment {
        path
      }
      userErrors {
        code
        message
        path
        hint
      }
    }
  }
`);

const Delete = graphql(`
  mutation DeleteDeployment($input: DeleteDeploymentInput!) {
    deleteDeployment(input: $input) {
      deployment {
        path
      }
      userErrors {
        code
        message
        path
        hint
      }
    }
  }
`);

interface DeployOptions {
  readonly model?: string;
  readonly modelVersion?: string;
  readonly alias?: string;
  readonly replicas?: string;
  readonly maxReplicas?: string;
  readonly maxSpendPerHour?: string;
  readonly plan?: boolean;
  readonly planHash?: string;
  readonly wait?: boolean;
  readonly timeout: string;
}

export function addDeployCommands(program: Command, cli: () => Cli): void {
  program
    .command('deploy <deployment>')
    .description('plan and run a model version at team/project/name')
    .option('--model <model>', 'name of the model in the project (default: the name of the deployment)')
    .option('--model-version <number>', 'version number (default: the newest)')
    .option('--alias <alias>', 'the version that this alias points at')
    .option('--replicas <n>', 'replicas')
    .option('--max-replicas <n>', 'never more than this (default of the project)')
    .option('--max-spend-per-hour <usd>', 'never dearer than this (default of the project)')
    .option('--plan', 'show the priced plan and the offerings that lost, change nothing')
    .option('--plan-hash <hash>', 'run exactly this plan, or nothing')
    .option('--wait', 'return when it is ready')
    .option('--timeout <seconds>', 'how long --wait waits', '120')
    .action((path: string, options: DeployOptions) => deploy(cli(), path, options));
  program
    .command('rollback <deployment>')
    .description('go back to an earlier revision')
    .option('--to <revision>', 'revision number (default: the one before)')
    .action((path: string, options: { to?: string }) => rollback(cli(), path, options.to));
  program
    .command('scale <deployment>')
    .description('change the number of replicas')
    .requiredOption('--replicas <n>', 'replicas')
    .action((path: string, options: { replicas: string }) => scale(cli(), path, Number(options.replicas)));
  program
    .command('delete <deployment>')
    .description('drain it and give everything up')
    .action((path: string) => remove(cli(), path));
}

async function deploy({ client, output }: Cli, path: string, options: DeployOptions): Promise<void> {
  const api = client();
  const { deploy: payload } = await api.request(Deploy, {
    input: inputOf(path, options),
    dryRun: options.plan ?? false,
    planHash: options.planHash ?? null,
    idempotencyKey: options.plan ? null : randomUUID(),
  });
  refuse(payload.userErrors);
  if (options.plan) return output.result(payload.plan, () => planText(found(payload.plan, 'plan'), path));
  if (options.wait) await untilReady(api, path, Number(options.timeout) * 1000);
  output.result(payload.deployment, () => `${path} ${options.wait ? 'is ready' : 'is on its way'}: ${payload.deployment?.endpoint.url ?? ''}`);
}

function inputOf(path: string, options: DeployOptions): DeployInput {
  const { projectPath, name } = parsePath(path);
  return {
    project: { path: projectPath },
    name,
    model: options.model ?? name,
    ...(options.modelVersion ? { modelVersion: Number(options.modelVersion) } : {}),
    ...(options.alias ? { alias: options.alias } : {}),
    ...(options.replicas ? { replicas: Number(options.replicas) } : {}),
    ...(options.maxReplicas ? { maxReplicas: Number(options.maxReplicas) } : {}),
    ...(options.maxSpendPerHour ? { maxSpendPerHour: options.maxSpendPerHour } : {}),
  };
}

type Plan = NonNullable<DeployMutation['deploy']['plan']>;

function planText(plan: Plan, path: string): string {
  return [
    ...plan.actions.map((action) => `- ${action.message}`),
    '',
    table(
      ['', 'offering', 'region', 'capacity', 'per hour', 'because'],
      plan.candidates.map(({ offering, hourly, chosen, rejectedBecause }) => [
        chosen ? '*' : '',
        `${offering.provider} ${offering.instanceType}`,
        offering.region,
        offering.capacityType,
        money(hourly.amount),
        chosen ? 'cheapest that fits' : (rejectedBecause?.message ?? ''),
      ]),
    ),
    '',
    `Change of cost: ${money(plan.costDelta.amount)} per hour (estimate). Valid until ${plan.expiresAt}.`,
    `Next: purser deploy ${path} --plan-hash ${plan.hash} --wait (with the same options)`,
  ].join('\n');
}

const POLL_MS = 250;

/** Resolves once the newest generation is ready; throws when it failed or the time is over. */
async function untilReady(api: PurserClient, path: string, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const { deployment } = await api.request(Status, { path });
    const { generation, status } = found(deployment, 'deployment');
    const current = status.observedGeneration >= generation;
    if (current && status.phase === 'READY') return;
    const reasons = status.conditions.filter((condition) => condition.status !== 'True').map((condition) => condition.message);
    if (current && status.phase === 'FAILED') throw new CommandFailure(`${path} failed: ${reasons.join(' ')}`, EXIT.NOT_READY);
    if (Date.now() > deadline) throw new CommandFailure(`${path} is not ready yet (${status.phase}). ${reasons.join(' ')}`, EXIT.NOT_READY);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function rollback({ client, output }: Cli, path: string, to: string | undefined): Promise<void> {
  const input = { deployment: { path }, ...(to ? { revision: Number(to) } : {}) };
  const { rollback: payload } = await client().request(Rollback, { input });
  refuse(payload.userErrors);
  output.result(payload.deployment, () => `${path} is going back. Next: purser describe ${path}`);
}

async function scale({ client, output }: Cli, path: string, replicas: number): Promise<void> {
  const { scaleDeployment: payload } = await client().request(Scale, { input: { deployment: { path }, replicas } });
  refuse(payload.userErrors);
  output.result(payload.deployment, () => `${path} is going to ${replicas} replicas.`);
}

async function remove({ client, output }: Cli, path: string): Promise<void> {
  const { deleteDeployment: payload } = await client().request(Delete, { input: { deployment: { path } } });
  refuse(payload.userErrors);
  output.result(payload.deployment, () => `${path} is being deleted; its costs stay.`);
}
