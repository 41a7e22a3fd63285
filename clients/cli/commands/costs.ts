import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { CostDimension } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { money, table } from '../output.ts';

const Costs = graphql(`
  query Costs($range: TimeRange!, $groupBy: [CostDimension!]!) {
    costs(range: $range, groupBy: $groupBy) {
      total {
        amount
      }
      isEstimate
      reconciledUntil
      effectiveRange {
        from
        to
      }
      rows {
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
        requests
      }
    }
  }
`);

interface CostsOptions {
  readonly since: string;
  readonly by: string;
}

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export function addCostsCommand(program: Command, cli: () => Cli): void {
  program
    .command('costs')
    .description('where the money went')
    .option('--since <duration>', 'how far back: 30m, 24h, 7d', '24h')
    .option('--by <dimensions>', 'comma-separated: owner_team, caller_team, project, model, version, deployment, …', 'deployment')
    .action((options: CostsOptions) => costs(cli(), options));
}

async function costs({ client, output }: Cli, options: CostsOptions): Promise<void> {
  const to = Date.now();
  const range = { from: new Date(to - parseDuration(options.since)).toISOString(), to: new Date(to).toISOString() };
  const groupBy = options.by.split(',').map((name) => name.trim().toUpperCase() as CostDimension);
  const { costs: answer } = await client().request(Costs, { range, groupBy });
  output.result(answer, () =>
    [
      table(
        [...groupBy.map((name) => name.toLowerCase()), 'cost', 'busy', 'idle', 'starting', 'requests'],
        answer.rows.map((row) => [
          ...row.key.map((part) => part.value),
          money(row.cost.amount),
          money(row.busy.amount),
          money(row.idle.amount),
          money(row.starting.amount),
          String(row.requests),
        ]),
      ),
      '',
      `Total ${money(answer.total.amount)}${answer.isEstimate ? ' (estimate)' : ''}, ${answer.effectiveRange.from} to ${answer.effectiveRange.to}.`,
    ].join('\n'),
  );
}

function parseDuration(text: string): number {
  const match = /^(\d{1,5})([mhd])$/.exec(text);
  if (!match) throw new CommandFailure(`--since "${text}" must look like 30m, 24h or 7d.`, EXIT.USAGE);
  return Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0);
}
