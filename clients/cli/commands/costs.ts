import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { CostDimension, CostSpreading, CostStep, CostsQuery } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { money, table } from '../output.ts';
import { since } from '../values.ts';
import { found } from '../refusals.ts';

const Costs = graphql(`
  query Costs(
    $range: TimeRange!
    $groupBy: [CostDimension!]!
    $step: CostStep
    $filter: CostFilter
    $spreading: CostSpreading! = NONE
  ) {
    costs(range: $range, groupBy: $groupBy, step: $step, filter: $filter, spreading: $spreading) {
      total {
        amount
      }
      isEstimate
      estimated {
        amount
      }
      reconciledUntil
      unpricedMs
      effectiveRange {
        from
        to
      }
      rows {
        period
        key {
          dimension
          value
        }
        cost {
          amount
        }
        busy {
          amount
        }
        idle {
          amount
        }
        starting {
          amount
        }
        draining {
          amount
        }
        unready {
          amount
        }
        nodeIdle {
          amount
        }
        shared {
          amount
        }
        unattributed {
          amount
        }
        requests
        errors
        unitCost {
          amount
        }
      }
    }
  }
`);

const DeploymentId = graphql(`
  query DeploymentId($path: String!) {
    deployment(by: { path: $path }) {
      id
    }
  }
`);

const DIMENSIONS = {
  OWNER_TEAM: true,
  CALLER_TEAM: true,
  CALLER: true,
  PROJECT: true,
  MODEL: true,
  VERSION: true,
  DEPLOYMENT: true,
  REVISION: true,
  REPLICA: true,
  CLUSTER: true,
  NODE: true,
  OFFERING: true,
  STATE: true,
  KIND: true,
} satisfies Record<CostDimension, true>;

const STEPS = { HOUR: true, DAY: true, MONTH: true } satisfies Record<CostStep, true>;

const SPREADINGS = { NONE: true, BY_NODE: true, BY_CLUSTER: true } satisfies Record<CostSpreading, true>;

interface CostsOptions {
  readonly since: string;
  readonly by: string;
  readonly step?: string;
  readonly deployment?: string;
  readonly spread: string;
}

export function addCostsCommand(program: Command, cli: () => Cli): void {
  program
    .command('costs')
    .description('where the money went')
    .option('--since <duration>', 'how far back: 30m, 24h, 7d', '24h')
    .option('--by <dimensions>', `comma-separated: ${Object.keys(DIMENSIONS).join(', ').toLowerCase()}`, 'deployment')
    .option('--step <step>', 'one row per hour, day or month (UTC)')
    .option('--deployment <path>', 'only this deployment')
    .option('--spread <how>', 'what nobody has of shared nodes: none, by_node or by_cluster', 'none')
    .action((options: CostsOptions) => costs(cli(), options));
}

async function costs({ client, output }: Cli, options: CostsOptions): Promise<void> {
  const to = Date.now();
  const range = { from: new Date(to - since(options.since)).toISOString(), to: new Date(to).toISOString() };
  const groupBy = options.by.split(',').map((name) => oneOf(DIMENSIONS, '--by', name));
  const step = options.step === undefined ? null : oneOf(STEPS, '--step', options.step);
  const api = client();
  const filter = options.deployment === undefined ? null : await api.request(DeploymentId, { path: options.deployment });
  const deployment = filter && found(filter.deployment, 'deployment').id;
  const spreading = oneOf(SPREADINGS, '--spread', options.spread);
  const { costs: answer } = await api.request(Costs, {
    range,
    groupBy,
    step,
    filter: deployment ? { deployment } : null,
    spreading,
  });
  output.result(answer, () => costsText(answer, groupBy, step !== null));
}

function oneOf<T extends string>(known: Record<T, true>, option: string, text: string): T {
  const name = text.trim().toUpperCase();
  const match = (Object.keys(known) as T[]).find((candidate) => candidate === name);
  if (!match)
    throw new CommandFailure(`${option} "${text}" must be one of ${Object.keys(known).join(', ').toLowerCase()}.`, EXIT.USAGE);
  return match;
}

function costsText(answer: CostsQuery['costs'], groupBy: readonly CostDimension[], stepped: boolean): string {
  const { total, isEstimate, estimated, effectiveRange, unpricedMs, rows } = answer;
  // Only shared nodes have these two.
  const ofNodes = rows.some(({ nodeIdle, shared }) => nodeIdle.amount !== '0' || shared.amount !== '0');
  return [
    table(
      [
        ...(stepped ? ['from'] : []),
        ...groupBy.map((name) => name.toLowerCase()),
        'cost',
        'busy',
        'idle',
        'starting',
        'draining',
        'unready',
        ...(ofNodes ? ['node idle', 'shared'] : []),
        'requests',
        'per request',
      ],
      rows.map((row) => [
        ...(stepped ? [row.period ?? ''] : []),
        ...row.key.map((part) => part.value || '-'),
        ...[row.cost, row.busy, row.idle, row.starting, row.draining, row.unready].map((part) => money(part.amount)),
        ...(ofNodes ? [row.nodeIdle, row.shared].map((part) => money(part.amount)) : []),
        String(row.requests),
        row.unitCost ? money(row.unitCost.amount) : '-',
      ]),
    ),
    '',
    `Total ${money(total.amount)}${isEstimate ? ' (estimate: the newest minutes are open)' : ''}, ${effectiveRange.from} to ${effectiveRange.to}.`,
    ...(estimated.amount === '0'
      ? []
      : [`${money(estimated.amount)} of it is assumed: local replicas at the price of what they fit.`]),
    ...(unpricedMs > 0
      ? [
          `${(unpricedMs / 1000).toFixed(0)} s of replica time have no price and are in no amount; docs/ledger.md says how nodes get theirs.`,
        ]
      : []),
  ].join('\n');
}
