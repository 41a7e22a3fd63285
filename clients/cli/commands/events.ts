import type { Command } from 'commander';
import { PurserUnavailable } from '../../typescript/errors.ts';
import type { PurserClient } from '../../typescript/purser-client.ts';
import { graphql } from '../../typescript/generated/gql.ts';
import type { Cli } from '../cli-context.ts';

const Events = graphql(`
  query Events($after: EventCursor, $filter: EventFilter, $first: Int!) {
    events(after: $after, filter: $filter, first: $first) {
      events {
        cursor
        at
        type
        message
        severity
      }
      cursor
      hasMore
    }
  }
`);

const FollowEvents = graphql(`
  subscription FollowEvents($after: EventCursor, $filter: EventFilter) {
    events(after: $after, filter: $filter) {
      __typename
      ... on Event {
        cursor
        at
        type
        message
        severity
      }
      ... on Gap {
        reason
        cursor
      }
      ... on Heartbeat {
        cursor
      }
    }
  }
`);

interface EventsOptions {
  readonly follow?: boolean;
  readonly after?: string;
  readonly deployment?: string;
}

/** Longest wait between two tries to go on. Higher: late news; lower: a dead server is asked too often. */
const LONGEST_WAIT_MS = 5_000;

export function addEventsCommand(program: Command, cli: () => Cli): void {
  program
    .command('events')
    .description('what happened, in order and without loss')
    .option('--follow', 'go on until interrupted; breaks are bridged from the last cursor')
    .option('--after <cursor>', 'start behind this event')
    .option('--deployment <path>', 'only what concerns this deployment')
    .action((options: EventsOptions) => (options.follow ? follow(cli(), options) : list(cli(), options)));
}

interface PrintedEvent {
  readonly cursor: string;
  readonly at: string;
  readonly type: string;
  readonly message: string;
}

const line = (event: PrintedEvent): string => `${event.at}  ${event.type.padEnd(28)}  ${event.message}`;

const filterOf = (options: EventsOptions) => (options.deployment ? { deployment: options.deployment } : null);

async function list({ client, output }: Cli, options: EventsOptions): Promise<void> {
  const { events } = await client().request(Events, { after: options.after ?? null, filter: filterOf(options), first: 100 });
  output.result(events, () => [...events.events.map(line), `cursor: ${events.cursor}`].join('\n'));
}

async function follow({ client, output }: Cli, options: EventsOptions): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  const api = client();
  let cursor = options.after ?? null;
  for (let wait = 100; !stop.signal.aborted; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
    try {
      for await (const next of stream(api, cursor, options, stop.signal)) {
        wait = 100;
        cursor = next.cursor;
        show(output, next);
      }
    } catch (error) {
      if (stop.signal.aborted) return;
      if (!(error instanceof PurserUnavailable)) throw error;
      output.note(`${error.message} Trying again …`);
    }
    await pause(wait, stop.signal);
  }
}

type Delivery = { __typename: 'Event' | 'Gap' | 'Heartbeat'; cursor: string } & Partial<PrintedEvent> & { reason?: string };

async function* stream(api: PurserClient, after: string | null, options: EventsOptions, signal: AbortSignal): AsyncGenerator<Delivery> {
  for await (const { events } of api.subscribe(FollowEvents, { after, filter: filterOf(options) }, signal)) yield events as Delivery;
}

function show(output: Cli['output'], delivery: Delivery): void {
  if (delivery.__typename === 'Heartbeat') return;
  output.result(delivery, () =>
    delivery.__typename === 'Gap' ? `-- gap: ${delivery.reason ?? ''}; going on at ${delivery.cursor}` : line(delivery as PrintedEvent),
  );
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
