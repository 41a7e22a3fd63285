import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type {
  OfferingFilter,
  PriceFeedsQuery,
  PriceHistoryQuery,
  PricesQuery,
  QuarantinedPricesQuery,
} from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { capacityType, offeringKey, offeringText } from '../offering-key.ts';
import { money, table, wholeNumber } from '../output.ts';
import { allNodes } from '../pages.ts';
import { refuse } from '../refusals.ts';
import { addAgreementCommands } from './price-agreements.ts';

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

const QuarantinedPrices = graphql(`
  query QuarantinedPrices($feed: String, $after: String) {
    quarantinedPrices(feed: $feed, first: 100, after: $after) {
      nodes {
        id
        feed
        offeringKey
        said
        unit
        currency
        code
        message
        observedAt
        isAcceptable
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

const DecideQuarantined = graphql(`
  mutation DecideQuarantined($input: DecideQuarantinedPriceInput!, $idempotencyKey: String) {
    decideQuarantinedPrice(input: $input, idempotencyKey: $idempotencyKey) {
      price {
        offeringKey
        state
      }
      userErrors {
        ...Refusal
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

interface QuarantineOptions {
  readonly feed?: string;
  readonly accept?: string;
  readonly dismiss?: string;
}

export function addPriceCommands(program: Command, cli: () => Cli): void {
  const prices = program.command('prices').description('what can be rented, what it costs, and who says so');
  prices
    .command('list', { isDefault: true })
    .description('offerings with their prices, cheapest first')
    .option('--region <regions...>', 'only there: aws/us-east-1')
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
    .option('--since <duration>', 'how far back, in days: 30d', '30d')
    .action((offering: string, { since }: { readonly since: string }) => history(cli(), offering, since));
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
  prices
    .command('quarantine')
    .description('prices that are not believed; --accept or --dismiss one')
    .option('--feed <name>', 'only of this feed')
    .option('--accept <id>', 'it is right: it counts from now on')
    .option('--dismiss <id>', 'it is wrong: the last good price stands')
    .action((options: QuarantineOptions) => quarantine(cli(), options));
  addAgreementCommands(prices, cli);
}

async function list({ client, output }: Cli, options: ListOptions): Promise<void> {
  if (!['price', 'key'].includes(options.order)) throw new CommandFailure('--order must be price or key.', EXIT.USAGE);
  const orderBy = options.order === 'key' ? 'KEY' : 'PRICE';
  const first = wholeNumber('--limit', options.limit);
  const { offerings } = await client().request(Prices, { filter: filterOf(options), orderBy, first });
  output.result(offerings.nodes, () => listText(offerings.nodes));
}

const filterOf = ({ region, type, capacity, accelerator, cpu, memory, max }: ListOptions): OfferingFilter => ({
  regions: region ?? null,
  instanceTypes: type ?? null,
  capacityTypes: capacity?.map(capacityType) ?? null,
  acceleratorModels: accelerator ?? null,
  minCpuMilli: atLeast('--cpu', cpu),
  minMemoryMib: atLeast('--memory', memory),
  maxPricePerHour: max ?? null,
});

const atLeast = (option: string, text: string | undefined): number | null =>
  text === undefined ? null : wholeNumber(option, text);

const listText = (rows: PricesQuery['offerings']['nodes']): string =>
  table(
    ['offering', 'cpu', 'mib', 'accelerator', 'interrupted', 'per hour', 'list', 'source'],
    rows.map((row) => [
      offeringText(row),
      String(row.cpuMilli / 1000),
      row.memoryMib == null ? '?' : String(row.memoryMib),
      row.accelerator ? `${row.accelerator.countMilli / 1000} × ${row.accelerator.model}` : '-',
      row.interruptionBand ?? '-',
      row.price ? money(row.price.perHour.amount) : 'unpriced',
      row.price ? money(row.price.listPerHour.amount) : '-',
      row.price ? `${row.price.source}${row.price.isStale ? ' (stale)' : ''}` : '-',
    ]),
  );

async function history({ client, output }: Cli, offering: string, since: string): Promise<void> {
  const days = /^(\d{1,4})d$/.exec(since)?.[1];
  if (days === undefined) throw new CommandFailure(`--since "${since}" must look like 30d.`, EXIT.USAGE);
  const to = Date.now();
  const range = { from: new Date(to - Number(days) * 86_400_000).toISOString(), to: new Date(to).toISOString() };
  const { priceHistory } = await client().request(PriceHistory, { offering: offeringKey(offering), range });
  output.result(priceHistory, () => historyText(priceHistory));
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
  const input = { offering: offeringKey(offering), pricePerHour: usd ?? null };
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
      `${feed.intervalSeconds}s`,
      feed.readAt ?? 'never',
      String(feed.rows),
      String(feed.quarantined),
      String(feed.unreadable.length),
      feedState(feed),
    ]),
  );

function feedState({ isConfigured, staleSince, error }: PriceFeedsQuery['priceFeeds'][number]): string {
  if (!isConfigured) return 'not configured any more';
  const trouble = error == null ? [] : [error];
  return [staleSince == null ? 'ok' : `stale since ${staleSince}`, ...trouble].join(': ');
}

async function quarantine({ client, output }: Cli, { feed, accept, dismiss }: QuarantineOptions): Promise<void> {
  const api = client();
  if (accept !== undefined && dismiss !== undefined) throw new CommandFailure('Either --accept or --dismiss.', EXIT.USAGE);
  const decided = accept ?? dismiss;
  if (decided === undefined) {
    const rows = await allNodes(
      async (after) => (await api.request(QuarantinedPrices, { feed: feed ?? null, after })).quarantinedPrices,
    );
    output.result(rows, () => (rows.length === 0 ? 'Every price is believed.' : quarantineText(rows)));
    return;
  }
  const input = { quarantinedPrice: decided, decision: accept === undefined ? 'DISMISS' : 'ACCEPT' } as const;
  const { decideQuarantinedPrice } = await api.request(DecideQuarantined, { input, idempotencyKey: randomUUID() });
  refuse(decideQuarantinedPrice.userErrors);
  const { price } = decideQuarantinedPrice;
  output.result(price, () => `${price?.offeringKey ?? decided}: ${(price?.state ?? '').toLowerCase()}.`);
}

const quarantineText = (rows: QuarantinedPricesQuery['quarantinedPrices']['nodes']): string =>
  table(
    ['id', 'feed', 'offering', 'said', 'reason'],
    rows.map((row) => [
      row.id,
      row.feed,
      row.offeringKey,
      `${row.said} ${row.currency}/${row.unit}`,
      `${row.code}: ${row.message}${row.isAcceptable ? '' : ' (can only be dismissed)'}`,
    ]),
  );
