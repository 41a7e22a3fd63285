import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { OfferingFilter, PriceFeedsQuery, PriceHistoryQuery, PricesQuery } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { capacityType, offeringKey, offeringText } from '../offering-key.ts';
import { money, table, wholeNumber } from '../output.ts';
import { refuse } from '../refusals.ts';
import { decimal, region, since } from '../values.ts';
import { addAgreementCommands } from './price-agreements.ts';
import { addQuarantineCommand } from './price-quarantine.ts';

const Prices = graphql(`
  query Prices($filter: OfferingFilter, $orderBy: OfferingOrder!, $first: Int!) {
    offerings(filter: $filter, orderBy: $orderBy, first: $first) {
      nodes {
        provider
        region
        zone
        instanceType
        capacityType
        cpuMilli
        memoryMib
        accelerator {
          model
          countMilli
          memoryMib
        }
        interruptionBand
        price {
          perHour {
            amount
          }
          listPerHour {
            amount
          }
          source
          isStale
        }
      }
    }
  }
`);

const PriceHistory = graphql(`
  query PriceHistory($offering: OfferingKey!, $range: TimeRange!) {
    priceHistory(offering: $offering, range: $range) {
      from
      to
      price {
        perHour {
          amount
        }
        listPerHour {
          amount
        }
        source
        observedAt
      }
    }
  }
`);

const SetPrice = graphql(`
  mutation SetPrice($input: SetPriceOverrideInput!, $idempotencyKey: String) {
    setPriceOverride(input: $input, idempotencyKey: $idempotencyKey) {
      offering {
        price {
          perHour {
            amount
          }
          source
        }
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const PriceFeeds = graphql(`
  query PriceFeeds {
    priceFeeds {
      name
      isConfigured
      intervalSeconds
      attemptedAt
      readAt
      rows
      quarantined
      error
      staleSince
      unreadable {
        ref
        reason
      }
    }
  }
`);

interface ListOptions {
  readonly region?: string[];
  readonly type?: string[];
  readonly capacity?: string[];
  readonly accelerator?: string[];
  readonly cpu?: string;
  readonly memory?: string;
  readonly max?: string;
  readonly order: string;
  readonly limit: string;
}

export function addPriceCommands(program: Command, cli: () => Cli): void {
  const prices = program.command('prices').description('what can be rented, what it costs, and who says so');
  prices
    .command('list', { isDefault: true })
    .description('offerings with their prices, cheapest first')
    .option('--region <regions...>', "only there: aws/us-east-1, or all of a provider: 'aws/*'")
    .option('--type <types...>', 'only of these instance types')
    .option('--capacity <types...>', 'on_demand, spot, reserved')
    .option('--accelerator <models...>', 'only with one of these: T4, A100')
    .option('--cpu <milli>', 'with at least so many thousandths of a CPU')
    .option('--memory <MiB>', 'with at least so much memory')
    .option('--max <usd>', 'at most so many USD per hour')
    .option('--order <order>', 'price or key', 'price')
    .option('--limit <n>', 'at most so many, up to 100', '20')
    .action((options: ListOptions) => list(cli(), options));
  prices
    .command('history <offering>')
    .description('what was believed of a price: aws/us-east-1/-/m5.large/spot')
    .option('--since <duration>', 'how far back: 30m, 24h, 30d', '30d')
    .action((offering: string, options: { readonly since: string }) => history(cli(), offering, options.since));
  prices
    .command('set <offering> [usd]')
    .description('sets a price per hour by hand, over all that is observed')
    .option('--clear', 'lets the observed price count again')
    .action((offering: string, usd: string | undefined, { clear }: { readonly clear?: true }) =>
      setPrice(cli(), { offering, usd, clear: clear ?? false }),
    );
  prices
    .command('feeds')
    .description('who says prices, and how it is doing')
    .action(() => feeds(cli()));
  addQuarantineCommand(prices, cli);
  addAgreementCommands(prices, cli);
}

async function list({ client, output }: Cli, options: ListOptions): Promise<void> {
  if (!['price', 'key'].includes(options.order)) throw new CommandFailure('--order must be price or key.', EXIT.USAGE);
  const orderBy = options.order === 'key' ? 'KEY' : 'PRICE';
  const first = wholeNumber('--limit', options.limit);
  const { offerings } = await client().request(Prices, { filter: filterOf(options), orderBy, first });
  output.result(offerings.nodes, () => (offerings.nodes.length > 0 ? listText(offerings.nodes) : NOTHING_FITS));
}

/** An empty table would leave open whether the word was wrong. */
const NOTHING_FITS =
  'Nothing fits. Words are as purser prices list prints them: region aws/us-east-1, type m5.large, accelerator T4.';

const filterOf = ({ region: regions, type, capacity, accelerator, cpu, memory, max }: ListOptions): OfferingFilter => ({
  ...placesOf(regions?.map((text) => region('--region', text)) ?? []),
  instanceTypes: type ?? null,
  capacityTypes: capacity?.map(capacityType) ?? null,
  acceleratorModels: accelerator ?? null,
  minCpuMilli: atLeast('--cpu', cpu),
  minMemoryMib: atLeast('--memory', memory),
  maxPricePerHour: max === undefined ? null : decimal('--max', max),
});

const ALL_OF = '/*';

/** The API knows providers and regions, not patterns. */
function placesOf(regions: readonly string[]): Pick<OfferingFilter, 'providers' | 'regions'> {
  const whole = regions.filter((one) => one.endsWith(ALL_OF));
  if (whole.length === 0) return { regions: regions.length > 0 ? [...regions] : null };
  if (whole.length === regions.length) return { providers: whole.map((one) => one.slice(0, -ALL_OF.length)) };
  throw new CommandFailure("--region names either regions or whole providers ('aws/*'), not both.", EXIT.USAGE);
}

const atLeast = (option: string, text: string | undefined): number | null =>
  text === undefined ? null : wholeNumber(option, text);

const listText = (rows: PricesQuery['offerings']['nodes']): string =>
  table(
    ['offering', 'cpu', 'mib', 'accelerator', 'interrupted', 'per hour', 'list', 'source'],
    rows.map((row) => [
      offeringText(row),
      String(row.cpuMilli / 1000),
      row.memoryMib == null ? '?' : String(row.memoryMib),
      row.accelerator ? acceleratorText(row.accelerator) : '-',
      row.interruptionBand ?? '-',
      row.price ? money(row.price.perHour.amount) : 'unpriced',
      row.price ? money(row.price.listPerHour.amount) : '-',
      row.price ? `${row.price.source}${row.price.isStale ? ' (stale)' : ''}` : '-',
    ]),
  );

const MIB_PER_GIB = 1024;

function acceleratorText({
  countMilli,
  model,
  memoryMib,
}: NonNullable<PricesQuery['offerings']['nodes'][number]['accelerator']>) {
  const memory = memoryMib === 0 ? '' : ` ${Number((memoryMib / MIB_PER_GIB).toFixed(1))}G`;
  return `${Number((countMilli / 1000).toFixed(2))} × ${model}${memory}`;
}

async function history({ client, output }: Cli, offering: string, back: string): Promise<void> {
  const to = Date.now();
  const range = { from: new Date(to - since(back)).toISOString(), to: new Date(to).toISOString() };
  const { priceHistory } = await client().request(PriceHistory, { offering: offeringKey(offering), range });
  output.result(priceHistory, () =>
    priceHistory.length > 0
      ? historyText(priceHistory)
      : `Nothing was believed of ${offering} in that time; purser prices list --type … names what there is.`,
  );
}

const historyText = (points: PriceHistoryQuery['priceHistory']): string =>
  table(
    ['from', 'to', 'per hour', 'list', 'source'],
    points.map(({ from, to, price }) => [from, to, money(price.perHour.amount), money(price.listPerHour.amount), price.source]),
  );

async function setPrice(
  { client, output }: Cli,
  { offering, usd, clear }: { readonly offering: string; readonly usd: string | undefined; readonly clear: boolean },
): Promise<void> {
  if (clear === (usd !== undefined)) throw new CommandFailure('Give a price in USD per hour, or --clear.', EXIT.USAGE);
  const input = { offering: offeringKey(offering), pricePerHour: usd === undefined ? null : decimal('the price', usd) };
  const { setPriceOverride } = await client().request(SetPrice, { input, idempotencyKey: randomUUID() });
  refuse(setPriceOverride.userErrors);
  const price = setPriceOverride.offering?.price;
  output.result(setPriceOverride.offering, () =>
    price ? `${offering} costs ${money(price.perHour.amount)} per hour now (${price.source}).` : `${offering} has no price now.`,
  );
}

async function feeds({ client, output }: Cli): Promise<void> {
  const { priceFeeds } = await client().request(PriceFeeds, {});
  output.result(priceFeeds, () =>
    priceFeeds.length === 0 ? 'No price feed is configured: prices are the bundled ones.' : feedsText(priceFeeds),
  );
}

const feedsText = (rows: PriceFeedsQuery['priceFeeds']): string =>
  table(
    ['feed', 'every', 'read', 'prices', 'quarantined', 'unreadable', 'state'],
    rows.map((feed) => [
      feed.name,
      every(feed.intervalSeconds),
      feed.readAt ?? 'never',
      String(feed.rows),
      String(feed.quarantined),
      String(feed.unreadable.length),
      feedState(feed),
    ]),
  );

const every = (seconds: number): string => (seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`);

function feedState({ isConfigured, staleSince, error }: PriceFeedsQuery['priceFeeds'][number]): string {
  if (!isConfigured) return ['not configured any more', ...(staleSince == null ? [] : [`stale since ${staleSince}`])].join(': ');
  const state = error == null ? 'ok' : 'failing';
  return [staleSince == null ? state : `stale since ${staleSince}`, ...(error == null ? [] : [error])].join(': ');
}
