import { useSubscription } from 'urql';
import { graphql } from '../../typescript/generated/gql.ts';
import type { LiveEventsSubscription } from '../../typescript/generated/graphql.ts';

const LiveEvents = graphql(`
  subscription LiveEvents {
    events(last: 20) {
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
    }
  }
`);

type Delivery = Exclude<LiveEventsSubscription['events'], { __typename: 'Heartbeat' }>;

/** Events kept on screen. Higher: a long day fills the page; lower: bursts scroll away. */
const SHOWN = 50;

const newestFirst = (shown: readonly Delivery[] = [], { events }: LiveEventsSubscription): readonly Delivery[] =>
  events.__typename === 'Heartbeat' ? shown : [events, ...shown].slice(0, SHOWN);

export function EventList() {
  const [{ data, error }] = useSubscription({ query: LiveEvents.toString() }, newestFirst);
  return (
    <section>
      <h2>Events</h2>
      {error && <p role="alert">{error.message}</p>}
      <ul className="events" aria-live="polite">
        {data?.map((event) => (
          <Line key={event.cursor} event={event} />
        ))}
      </ul>
    </section>
  );
}

function Line({ event }: { readonly event: Delivery }) {
  if (event.__typename === 'Gap') return <li className="busy">Some events are no longer kept ({event.reason}).</li>;
  return (
    <li>
      <time className="soft" dateTime={event.at}>
        {new Date(event.at).toLocaleString()}
      </time>
      <code>{event.type}</code>
      <span className={event.severity === 'ERROR' ? 'bad' : event.severity === 'WARNING' ? 'busy' : ''}>{event.message}</span>
    </li>
  );
}
