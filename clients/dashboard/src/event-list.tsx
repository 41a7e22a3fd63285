import { useQuery, useSubscription } from 'urql';
import { graphql } from '../../typescript/generated/gql.ts';
import type {
  LiveEventsSubscription,
  RecentEventsQuery,
  RecentEventsQueryVariables,
} from '../../typescript/generated/graphql.ts';

const RecentEvents = graphql(`
  query RecentEvents($last: Int!) {
    events(last: $last) {
      cursor
      events {
        __typename
        cursor
        at
        type
        message
        severity
      }
    }
  }
`);

const LiveEvents = graphql(`
  subscription LiveEvents($after: EventCursor) {
    events(after: $after) {
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

type Delivery = Exclude<LiveEventsSubscription['events'], { __typename: 'Heartbeat' }>;

/** Events kept on screen. Higher: a long day fills the page; lower: bursts scroll away. */
const SHOWN = 50;

const newestFirst = (shown: readonly Delivery[] = [], { events }: LiveEventsSubscription): readonly Delivery[] =>
  events.__typename === 'Heartbeat' ? shown : [events, ...shown].slice(0, SHOWN);

/** The newest events, then what happens from there on: the subscription starts at the cursor that the query ended at. */
export function EventList() {
  const [{ data: recent }] = useQuery<RecentEventsQuery, RecentEventsQueryVariables>({
    query: RecentEvents.toString(),
    variables: { last: 20 },
  });
  const after = recent?.events.cursor ?? null;
  const [{ data: live, error }] = useSubscription<LiveEventsSubscription, readonly Delivery[]>(
    { query: LiveEvents.toString(), variables: { after }, pause: after === null },
    newestFirst,
  );
  const shown: readonly Delivery[] = [...(live ?? []), ...(recent?.events.events.toReversed() ?? [])].slice(0, SHOWN);
  return (
    <section>
      <h2>
        Events <small className="soft">live</small>
      </h2>
      {error && <p role="alert">{error.message}</p>}
      <ul className="events" aria-live="polite">
        {shown.map((event) => (
          <Line key={event.cursor} event={event} />
        ))}
      </ul>
    </section>
  );
}

/** Local day and time, 24 hours, always as wide. */
const FORMAT = new Intl.DateTimeFormat('en-GB', {
  day: '2-digit',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const clock = (instant: string): string => FORMAT.format(new Date(instant)).replace(',', '');

function Line({ event }: { readonly event: Delivery }) {
  if (event.__typename === 'Gap') return <li className="busy">Some events are no longer kept ({event.reason}).</li>;
  return (
    <li>
      <time className="soft" dateTime={event.at} title={event.at}>
        {clock(event.at)}
      </time>
      <code>{event.type}</code>
      <span className={event.severity === 'ERROR' ? 'bad' : event.severity === 'WARNING' ? 'busy' : ''}>{event.message}</span>
    </li>
  );
}
