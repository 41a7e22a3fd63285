import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { EventFilter, FollowEventsSubscription, Severity } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { wholeNumber } from '../output.ts';

const Events = graphql(`
  query Events($after: EventCursor, $filter: EventFilter, $first: Int!, $last: Int) {
    events(after: $after, filter: $filter, first: $first, last: $last) {
      events {
        cursor
        at
        type
        severity
        principal
        subjectKind
        subjectId
        message
        before
        after
      }
      gap {
        reason
        cursor
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
        severity
        principal
        subjectKind
        subjectId
        message
        before
        after
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
  readonly project?: string;
  readonly type?: string;
  readonly severity?: string;
  readonly last: string;
}

export function addEventsCommand(program: Command, cli: () => Cli): void {
  program
    .command('events')
    .description('what happened, in order and without loss')
    .option('--follow', 'go on until interrupted; breaks are bridged from the last cursor')
    .option('--after <cursor>', 'start behind this event')
    .option('--last <n>', 'without --after: the newest n', '50')
    .option('--deployment <path>', 'only what concerns this deployment')
    .option('--project <path>', 'only what concerns this project')
    .option('--type <types>', 'only these types, comma-separated')
    .option('--severity <severities>', 'only these, comma-separated: info, warning, error')
    .action((options: EventsOptions) => (options.follow ? follow(cli(), options) : list(cli(), options)));
}

type Delivery = FollowEventsSubscription['events'];

interface PrintedEvent {
  readonly at: string;
  readonly type: string;
  readonly message: string;
}

const line = (event: PrintedEvent): string => `${event.at}  ${event.type.padEnd(28)}  ${event.message}`;

const SEVERITIES: readonly Severity[] = ['INFO', 'WARNING', 'ERROR'];

function filterOf({ deployment, project, type, severity }: EventsOptions): EventFilter {
  return {
    ...(deployment === undefined ? {} : { deployment }),
    ...(project === undefined ? {} : { project }),
    ...(type === undefined ? {} : { types: type.split(',') }),
    ...(severity === undefined ? {} : { severities: severity.split(',').map(severityOf) }),
  };
}

function severityOf(text: string): Severity {
  const severity = SEVERITIES.find((name) => name === text.trim().toUpperCase());
  if (!severity) throw new CommandFailure(`--severity "${text}" must be info, warning or error.`, EXIT.USAGE);
  return severity;
}

async function list({ client, output }: Cli, options: EventsOptions): Promise<void> {
  const last = options.after === undefined ? wholeNumber('--last', options.last) : null;
  const { events } = await client().request(Events, {
    after: options.after ?? null,
    filter: filterOf(options),
    first: 100,
    last,
  });
  output.result(events, () =>
    [
      ...(events.gap ? [gapLine(events.gap)] : []),
      ...events.events.map(line),
      `${events.hasMore ? 'More' : 'Later'}: purser events --after ${events.cursor}${events.hasMore ? '' : ' --follow'}`,
    ].join('\n'),
  );
}

/** Behind the given cursor, else behind the newest events, which are printed first. */
async function follow(cli: Cli, options: EventsOptions): Promise<void> {
  const { client, output, stopped } = cli;
  const after = options.after ?? (await showNewest(cli, options));
  const variables = { after, filter: filterOf(options) };
  const deliveries = client().follow(FollowEvents, variables, {
    cursorOf: ({ events }) => events.cursor,
    signal: stopped(),
    onBreak: (error) => output.note(`${error.message} Trying again …`),
  });
  for await (const { events } of deliveries) show(output, events);
}

async function showNewest({ client, output }: Cli, options: EventsOptions): Promise<string> {
  const last = wholeNumber('--last', options.last);
  const { events } = await client().request(Events, { after: null, filter: filterOf(options), first: 100, last });
  for (const event of events.events) output.result({ __typename: 'Event', ...event }, () => line(event));
  return events.cursor;
}

/** Heartbeats only move the cursor. */
function show(output: Cli['output'], delivery: Delivery): void {
  if (delivery.__typename === 'Heartbeat') return;
  output.result(delivery, () => (delivery.__typename === 'Gap' ? gapLine(delivery) : line(delivery)));
}

const gapLine = ({ reason, cursor }: { readonly reason: string; readonly cursor: string }): string =>
  `-- some events are no longer kept (${reason.toLowerCase()}); going on at ${cursor}`;
