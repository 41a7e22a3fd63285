import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { PriceAgreementsQuery } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { capacityType, offeringKey } from '../offering-key.ts';
import { money, table, wholeNumber } from '../output.ts';
import { refuse } from '../refusals.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { decimal, instant } from '../values.ts';

const PriceAgreements = graphql(`
  query PriceAgreements {
    priceAgreements {
      ...Agreed
    }
  }
`);

export const Agreed = graphql(`
  fragment Agreed on PriceAgreement {
    name
    kind
    covers
    percent
    count
    perHour {
      amount
    }
    from
    until
    version
  }
`);

const SetDiscount = graphql(`
  mutation SetDiscount($input: SetDiscountInput!, $idempotencyKey: String) {
    setDiscount(input: $input, idempotencyKey: $idempotencyKey) {
      agreement {
        ...Agreed
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const SetCommitment = graphql(`
  mutation SetCommitment($input: SetCommitmentInput!, $idempotencyKey: String) {
    setCommitment(input: $input, idempotencyKey: $idempotencyKey) {
      agreement {
        ...Agreed
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const SetOwnHardware = graphql(`
  mutation SetOwnHardware($input: SetOwnHardwareInput!, $idempotencyKey: String) {
    setOwnHardware(input: $input, idempotencyKey: $idempotencyKey) {
      agreement {
        ...Agreed
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const RemovePriceAgreement = graphql(`
  mutation RemovePriceAgreement($input: RemovePriceAgreementInput!, $idempotencyKey: String) {
    removePriceAgreement(input: $input, idempotencyKey: $idempotencyKey) {
      agreement {
        ...Agreed
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

type Agreement = PriceAgreementsQuery['priceAgreements'][number];

interface Terms {
  readonly from?: string;
  readonly until?: string;
}

interface DiscountOptions extends Terms {
  readonly percent: string;
  readonly provider?: string;
  readonly region?: string;
  readonly types?: string;
  readonly capacity?: string[];
}

interface ReserveOptions extends Terms {
  readonly offering: string;
  readonly rate: string;
  readonly count?: string;
  readonly committed?: string;
}

interface OwnOptions extends Terms {
  readonly provider: string;
  readonly region: string;
  readonly type: string;
  readonly cpu: string;
  readonly memory: string;
  readonly accelerator?: string;
  readonly accelerators: string;
  readonly acceleratorMemory: string;
  readonly count: string;
  readonly purchase: string;
  readonly residual: string;
  readonly months: string;
  readonly watts: string;
  readonly power: string;
  readonly hosting: string;
}

/** `prices discount`, `reserve`, `own`, `agreements`, `end`. */
export function addAgreementCommands(prices: Command, cli: () => Cli): void {
  timed(prices.command('discount <name>'))
    .description('so many per cent off the list price of whatever fits')
    .requiredOption('--percent <number>', 'per cent, at most three decimals')
    .option('--provider <name>', 'only of this provider')
    .option('--region <name>', "only in this region, by the provider's name")
    .option('--types <pattern>', "only of these instance types: 'm5.*'")
    .option('--capacity <types...>', 'on_demand, spot, reserved')
    .action((name: string, options: DiscountOptions) => discount(cli(), name, options));
  timed(prices.command('reserve <name>'))
    .description('machines that are paid for whether they run or not: a reservation or a savings plan')
    .requiredOption('--offering <key>', 'what they would be on demand: aws/us-east-1/-/m5.large/on_demand')
    .requiredOption('--rate <usd>', 'USD per hour of one')
    .option('--count <n>', 'how many are reserved')
    .option('--committed <usd>', 'or: USD per hour that are committed')
    .action((name: string, options: ReserveOptions) => reserve(cli(), name, options));
  addOwnCommand(prices, cli);
  prices
    .command('agreements')
    .description('what was agreed, in force or to come')
    .action(() => agreements(cli()));
  prices
    .command('end <name>')
    .description('ends an agreement now')
    .action((name: string) => end(cli(), name));
}

const timed = (command: Command): Command =>
  command
    .option('--from <when>', 'in force from then on, such as 2027-01-01; else from now on')
    .option('--until <when>', 'and until then');

function addOwnCommand(prices: Command, cli: () => Cli): void {
  timed(prices.command('own <name>'))
    .description('what a machine of your own costs: what it loses in value, its power, its place')
    .requiredOption('--provider <name>', 'a name of your own')
    .requiredOption('--region <name>', 'where it stands')
    .requiredOption('--type <name>', 'what kind of machine it is')
    .requiredOption('--cpu <milli>', 'thousandths of a CPU')
    .requiredOption('--memory <MiB>', 'memory')
    .requiredOption('--purchase <usd>', 'what one cost')
    .requiredOption('--months <n>', 'for how long it is used')
    .option('--accelerator <model>', 'T4, A100')
    .option('--accelerators <n>', 'how many of them', '1')
    .option('--accelerator-memory <MiB>', 'memory of one', '0')
    .option('--count <n>', 'how many machines there are', '1')
    .option('--residual <usd>', 'what it will still be worth', '0')
    .option('--watts <n>', 'power that it draws, cooling included', '0')
    .option('--power <usd>', 'USD per kilowatt-hour', '0')
    .option('--hosting <usd>', 'USD per month for its place', '0')
    .action((name: string, options: OwnOptions) => own(cli(), name, options));
}

async function discount({ client, output }: Cli, name: string, options: DiscountOptions): Promise<void> {
  const { percent, provider, region, types, capacity } = options;
  const input = {
    ...{
      name,
      percent: decimal('--percent', percent),
      ...termsOf(options),
      provider: provider ?? null,
      region: region ?? null,
      instanceTypes: types ?? null,
    },
    capacityTypes: capacity?.map(capacityType) ?? null,
  };
  const { setDiscount: answer } = await client().request(SetDiscount, { input, idempotencyKey: randomUUID() });
  refuse(answer.userErrors);
  output.result(answer.agreement, () => agreementsText(answer.agreement ? [answer.agreement] : []));
}

async function reserve({ client, output }: Cli, name: string, options: ReserveOptions): Promise<void> {
  const { offering, rate, count, committed } = options;
  if ((count === undefined) === (committed === undefined))
    throw new CommandFailure('Give --count of a reservation, or --committed USD per hour of a savings plan.', EXIT.USAGE);
  const input = {
    ...{ name, covers: offeringKey(offering), ratePerHour: decimal('--rate', rate), ...termsOf(options) },
    count: count === undefined ? null : wholeNumber('--count', count),
    committedPerHour: committed === undefined ? null : decimal('--committed', committed),
  };
  const { setCommitment: answer } = await client().request(SetCommitment, { input, idempotencyKey: randomUUID() });
  refuse(answer.userErrors);
  output.result(answer.agreement, () => agreementsText(answer.agreement ? [answer.agreement] : []));
}

async function own({ client, output }: Cli, name: string, options: OwnOptions): Promise<void> {
  const { provider, region, type, accelerator } = options;
  const whole = (option: string, text: string) => wholeNumber(`--${option}`, text);
  const usd = (option: 'purchase' | 'residual' | 'power' | 'hosting') => decimal(`--${option}`, options[option]);
  const input = {
    ...{ name, provider, region, instanceType: type, ...termsOf(options) },
    ...{ purchase: usd('purchase'), residual: usd('residual') },
    ...{ perKilowattHour: usd('power'), hostingPerMonth: usd('hosting'), architecture: 'amd64' },
    ...{
      cpuMilli: whole('cpu', options.cpu),
      memoryMib: whole('memory', options.memory),
      count: whole('count', options.count),
      months: whole('months', options.months),
      watts: whole('watts', options.watts),
    },
    accelerator:
      accelerator === undefined
        ? null
        : {
            model: accelerator,
            countMilli: whole('accelerators', options.accelerators) * 1000,
            memoryMib: whole('accelerator-memory', options.acceleratorMemory),
          },
  };
  const { setOwnHardware: answer } = await client().request(SetOwnHardware, { input, idempotencyKey: randomUUID() });
  refuse(answer.userErrors);
  output.result(answer.agreement, () => agreementsText(answer.agreement ? [answer.agreement] : []));
}

async function agreements({ client, output }: Cli): Promise<void> {
  const { priceAgreements } = await client().request(PriceAgreements, {});
  output.result(priceAgreements, () =>
    priceAgreements.length === 0 ? 'Nothing was agreed: everything costs its list price.' : agreementsText(priceAgreements),
  );
}

async function end({ client, output }: Cli, name: string): Promise<void> {
  const { removePriceAgreement } = await client().request(RemovePriceAgreement, {
    input: { name },
    idempotencyKey: randomUUID(),
  });
  refuse(removePriceAgreement.userErrors);
  output.result(removePriceAgreement.agreement, () => `${name} has ended.`);
}

const termsOf = ({ from, until }: Terms) => ({
  from: from === undefined ? null : instant('--from', from),
  until: until === undefined ? null : instant('--until', until),
});

const agreementsText = (rows: readonly Agreement[]): string =>
  table(
    ['name', 'kind', 'covers', 'percent', 'count', 'per hour', 'from', 'until'],
    rows.map((row) => [
      row.name,
      row.kind.toLowerCase(),
      row.covers,
      row.percent ?? '-',
      row.count == null ? '-' : String(row.count),
      row.perHour ? money(row.perHour.amount) : '-',
      row.from,
      row.until ?? '-',
    ]),
  );
