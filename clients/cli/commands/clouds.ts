import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { CheckCloudsQuery, CloudBillQuery, CloudsQuery } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { money, table } from '../output.ts';
import { found } from '../refusals.ts';

const Clouds = graphql(`
  query Clouds {
    clouds {
      name
      kind
      rentsMachines
      hasBills
      feed {
        regions
        everySeconds
        readAt
        staleSince
        error
      }
    }
  }
`);

const CheckClouds = graphql(`
  query CheckClouds($name: String) {
    clouds(name: $name) {
      name
      check {
        aspect
        status
        message
      }
    }
  }
`);

const CloudBill = graphql(`
  query CloudBill($cloud: String!, $range: TimeRange!) {
    cloudBill(cloud: $cloud, range: $range) {
      problem
      isFinal
      billedCost {
        amount
      }
      effectiveCost {
        amount
      }
      shares {
        service
        region
        lines
        billedCost {
          amount
        }
        effectiveCost {
          amount
        }
      }
      unreadableCount
      unreadable {
        ref
        reason
      }
    }
  }
`);

interface BillOptions {
  readonly from: string;
  readonly to: string;
}

export function addCloudCommands(program: Command, cli: () => Cli): void {
  const clouds = program.command('clouds').description('who rents machines and says prices: list, check, bill');
  clouds
    .command('list', { isDefault: true })
    .description('list them, with when their prices were read')
    .action(() => list(cli()));
  clouds
    .command('check [name]')
    .description('ask them whether they can be used: credentials, permissions, quotas, notices, prices')
    .action((name: string | undefined) => check(cli(), name));
  clouds
    .command('bill <name>')
    .description('what it charged; some providers take a fee for the question')
    .requiredOption('--from <day>', 'first day, like 2026-07-01 (UTC)')
    .requiredOption('--to <day>', 'the day after the last one')
    .action((name: string, options: BillOptions) => bill(cli(), name, options));
}

async function list({ client, output }: Cli): Promise<void> {
  const { clouds } = await client().request(Clouds);
  output.result(clouds, () => (clouds.length > 0 ? cloudTable(clouds) : NONE));
}

const cloudTable = (clouds: CloudsQuery['clouds']): string =>
  table(
    ['name', 'kind', 'machines', 'bills', 'prices of', 'prices read'],
    clouds.map(({ name, kind, rentsMachines, hasBills, feed }) => [
      ...[name, kind, rentsMachines ? 'yes' : '-', hasBills ? 'yes' : '-'],
      ...[feed?.regions.join(',') ?? '-', feed ? (feed.readAt ?? 'never') : '-'],
    ]),
  );

/** Ends as refused if something failed, so that a script can wait until all is well. */
const NONE = 'No clouds are configured (PURSER_CLOUDS_FILE).';

async function check({ client, output }: Cli, name: string | undefined): Promise<void> {
  const { clouds: asked } = await client().request(CheckClouds, { name: name ?? null });
  if (name !== undefined) found(asked[0], `cloud ${name}`);
  output.result(asked, () => (asked.length > 0 ? findingTable(asked) : NONE));
  const failed = asked.flatMap((one) => one.check).filter(({ status }) => status === 'FAILED').length;
  if (failed > 0) throw new CommandFailure(`${failed} findings need a mend.`, EXIT.REFUSED);
}

export const findingTable = (clouds: CheckCloudsQuery['clouds']): string =>
  table(
    ['cloud', 'aspect', 'status', 'finding'],
    clouds.flatMap(({ name, check }) =>
      check.map(({ aspect, status, message }, at) => {
        const first = check.findIndex((other) => other.message === message);
        const same = first < at ? `As ${check[first]?.aspect.toLowerCase() ?? ''}.` : (message.split('\n')[0] ?? '');
        return [name, aspect.toLowerCase(), status.toLowerCase(), same];
      }),
    ),
  );

async function bill({ client, output }: Cli, cloud: string, { from, to }: BillOptions): Promise<void> {
  const range = { from: dayOf('--from', from), to: dayOf('--to', to) };
  const answer = found((await client().request(CloudBill, { cloud, range })).cloudBill, `cloud ${cloud} with bills`);
  if (answer.problem !== null) throw new CommandFailure(answer.problem, EXIT.UNAVAILABLE);
  output.result(answer, () => billText(answer));
}

function dayOf(option: string, text: string): string {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text) || Number.isNaN(Date.parse(text)))
    throw new CommandFailure(`${option} "${text}" must be a day like 2026-07-01.`, EXIT.USAGE);
  return `${text}T00:00:00Z`;
}

function billText(answer: NonNullable<CloudBillQuery['cloudBill']>): string {
  const rows = answer.shares.map(({ service, region, lines, billedCost, effectiveCost }) => [
    ...[service, region ?? '-', String(lines), money(billedCost.amount), money(effectiveCost.amount)],
  ]);
  const sum = `${money(answer.billedCost?.amount ?? '0')} billed${answer.isFinal ? '' : ', may still change'}`;
  const left = answer.unreadable.map(({ ref, reason }) => `not counted: ${ref}: ${reason}`);
  const more = answer.unreadableCount - left.length;
  return [
    table(['service', 'region', 'charges', 'billed', 'effective'], rows),
    ...[sum, ...left],
    ...(more > 0 ? [`and ${more} more that could not be read`] : []),
  ].join('\n');
}
