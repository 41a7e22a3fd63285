import { useEffect } from 'react';
import { useQuery, useSubscription } from 'urql';
import { graphql } from '../../typescript/generated/gql.ts';
import type {
  LiveEventsSubscription,
  RecentEventsQuery,
  RecentEventsQueryVariables,
} from '../../typescript/generated/graphql.ts';
import { clock } from './clock.ts';

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
/** When the first reading failed. Higher: an empty list for longer; lower: needless load. */
const RETRY_MS = 2_000;

const newestFirst = (shown: readonly Delivery[] = [], { events }: LiveEventsSubscription): readonly Delivery[] =>
  events.__typename === 'Heartbeat' ? shown : [events, ...shown].slice(0, SHOWN);

export interface EventListProps {
  /** Whether events arrive as they happen. */
  readonly live: boolean;
  /** Told the cursor of each delivery. */
  readonly onEvent: (cursor: string) => void;
}

/** The newest events, then what happens from there on: the subscription starts at the cursor that the query ended at. */
export function EventList({ live, onEvent }: EventListProps) {
  const recent = useRecent();
  const after = recent?.cursor ?? null;
  const [{ data: delivered = [] }] = useSubscription<LiveEventsSubscription, readonly Delivery[]>(
    { query: LiveEvents.toString(), variables: { after }, pause: after === null },
    newestFirst,
  );
  const newest = delivered[0]?.cursor;
  useEffect(() => {
    if (newest !== undefined) onEvent(newest);
  }, [newest, onEvent]);
  return (
    <section aria-label="Events">
      <h2>
        Events <small className={live ? 'good' : 'busy'}>{live ? '● live' : '○ connecting …'}</small>
      </h2>
      {recent && <Log events={[...delivered, ...recent.events.toReversed()].slice(0, SHOWN)} />}
    </section>
  );
}

/** Asked until it is answered, then never again. */
function useRecent(): RecentEventsQuery['events'] | undefined {
  const [{ data, error }, readAgain] = useQuery<RecentEventsQuery, RecentEventsQueryVariables>({
    query: RecentEvents.toString(),
    variables: { last: 20 },
  });
  useEffect(() => {
    if (!error) return;
    const timer = setTimeout(() => readAgain({ requestPolicy: 'network-only' }), RETRY_MS);
    return () => clearTimeout(timer);
  }, [error, readAgain]);
  return data?.events;
}

function Log({ events }: { readonly events: readonly Delivery[] }) {
  return (
    <div role="log" aria-label="Events, newest first">
      {events.length === 0 && <p className="soft">Nothing has happened yet that this token may see.</p>}
      <ul className="events">
        {events.map((event) => (
          <Line key={event.cursor} event={event} />
        ))}
      </ul>
    </div>
  );
}

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
