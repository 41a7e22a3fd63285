import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { QuarantinedPricesQuery } from '../../typescript/generated/graphql.ts';
import type { PurserClient } from '../../typescript/purser-client.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { allNodes } from '../pages.ts';
import { refuse } from '../refusals.ts';

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

interface QuarantineOptions {
  readonly feed?: string;
  readonly accept?: string;
  readonly dismiss?: string;
}

/** `prices quarantine`. */
export function addQuarantineCommand(prices: Command, cli: () => Cli): void {
  prices
    .command('quarantine')
    .description('prices that are not believed; --accept or --dismiss one')
    .option('--feed <name>', 'only of this feed')
    .option('--accept <offering>', 'it is right: it counts from now on; the offering as it is listed, or an id')
    .option('--dismiss <offering>', 'it is wrong: the last good price stands')
    .action((options: QuarantineOptions) => quarantine(cli(), options));
}

type Quarantined = QuarantinedPricesQuery['quarantinedPrices']['nodes'][number];

async function quarantine({ client, output }: Cli, { feed, accept, dismiss }: QuarantineOptions): Promise<void> {
  const api = client();
  if (accept !== undefined && dismiss !== undefined) throw new CommandFailure('Either --accept or --dismiss.', EXIT.USAGE);
  const named = accept ?? dismiss;
  if (named === undefined) {
    const rows = await waiting(api, feed);
    output.result(rows, () => (rows.length === 0 ? 'Every price is believed.' : quarantineText(rows)));
    return;
  }
  const decided = named.includes('/') ? idOf(await waiting(api, feed), named) : named;
  const input = { quarantinedPrice: decided, decision: accept === undefined ? 'DISMISS' : 'ACCEPT' } as const;
  const { decideQuarantinedPrice } = await api.request(DecideQuarantined, { input, idempotencyKey: randomUUID() });
  refuse(decideQuarantinedPrice.userErrors);
  const { price } = decideQuarantinedPrice;
  output.result(price, () => `${price?.offeringKey ?? named}: ${(price?.state ?? '').toLowerCase()}.`);
}

const waiting = (api: PurserClient, feed: string | undefined): Promise<Quarantined[]> =>
  allNodes(async (after) => (await api.request(QuarantinedPrices, { feed: feed ?? null, after })).quarantinedPrices);

function idOf(rows: readonly Quarantined[], offering: string): string {
  const [row, another] = rows.filter(({ offeringKey }) => offeringKey === offering);
  if (!row) throw new CommandFailure(`No price of ${offering} waits in the quarantine.`, EXIT.NOT_FOUND);
  if (another)
    throw new CommandFailure(
      `Feeds ${row.feed} and ${another.feed} both wait with a price of ${offering}: give --feed.`,
      EXIT.USAGE,
    );
  return row.id;
}

const quarantineText = (rows: readonly Quarantined[]): string =>
  [
    ...rows.flatMap((row) => [
      `${row.offeringKey}  ${row.feed} says ${row.said} ${row.currency}/${row.unit}`,
      `   ${row.code}: ${row.message}${row.isAcceptable ? '' : ' (can only be dismissed)'}`,
    ]),
    '',
    'Next: purser prices quarantine --accept OFFERING, or --dismiss OFFERING',
  ].join('\n');
