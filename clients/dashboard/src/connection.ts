import { createClient } from 'graphql-ws';
import { Client, fetchExchange, mapExchange, subscriptionExchange, type SubscriptionForwarder } from 'urql';
import { socketUrl } from './socket-url.ts';

/** Longest wait before the socket tries again. Higher: the page stays still after an outage; lower: a crowd knocks at each restart. */
const MAX_WAIT_MS = 5_000;
/** When a subscription that the server ended is asked for again. Higher: events come late after a restart; lower: a refusal is repeated in vain. */
const AGAIN_MS = 1_000;
/** A socket that says nothing is asked after so long, and given up after as long again. Higher: a dead one is noticed late. */
const KEEP_ALIVE_MS = 10_000;

/** Longest wait for an answer. Higher: what is frozen is noticed late; lower: a busy database looks like an outage. */
const MAX_ANSWER_MS = 10_000;

export interface ConnectionListener {
  /** The API does not know the token any more. */
  readonly onRefused: () => void;
  /** Whether events arrive as they happen. */
  readonly onLive: (live: boolean) => void;
}

/** Queries over HTTP, subscriptions over one WebSocket that comes back by itself and goes on behind the last cursor. */
export function makeConnection(token: string, listener: ConnectionListener): Client {
  return new Client({
    url: '/graphql',
    preferGetMethod: false,
    fetchOptions: () => ({ headers: { authorization: `Bearer ${token}` } }),
    fetch: impatient,
    exchanges: [
      mapExchange({
        onError: (error) => {
          if ((error.response as Response | undefined)?.status === 401) listener.onRefused();
        },
      }),
      fetchExchange,
      subscriptionExchange({ forwardSubscription: followed(makeSocket(token, listener), listener) }),
    ],
  });
}

/** An answer that does not come is a control plane that does not answer. */
function impatient(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const timeout = AbortSignal.timeout(MAX_ANSWER_MS);
  return fetch(input, { ...init, signal: init.signal ? AbortSignal.any([init.signal, timeout]) : timeout });
}

type Socket = ReturnType<typeof createClient>;

function makeSocket(token: string, { onLive }: ConnectionListener): Socket {
  let silence: ReturnType<typeof setTimeout> | undefined;
  const socket = createClient({
    url: socketUrl(),
    connectionParams: { authorization: `Bearer ${token}` },
    shouldRetry: () => true,
    retryAttempts: Number.POSITIVE_INFINITY,
    retryWait: (retries) => pause(Math.min(MAX_WAIT_MS, 500 * 2 ** retries) * (0.5 + Math.random() / 2)),
    keepAlive: KEEP_ALIVE_MS,
    on: {
      ping: (received) => {
        if (!received) silence = setTimeout(() => socket.terminate(), KEEP_ALIVE_MS);
      },
      pong: (received) => {
        if (received) clearTimeout(silence);
      },
      closed: () => {
        clearTimeout(silence);
        onLive(false);
      },
    },
  });
  return socket;
}

/** Only the page ends its subscription: when the server ends or refuses it, as it does on its way down, it is asked for again. */
const followed =
  (socket: Socket, { onLive }: ConnectionListener): SubscriptionForwarder =>
  ({ query = '', variables }) => ({
    subscribe: (sink) => {
      // The socket sends this object again after each break, with the cursor that it has by then.
      const payload = { query, variables: { ...variables } as Record<string, unknown> };
      let ended = false;
      let unsubscribe: () => void = () => undefined;
      const again = () => {
        onLive(false);
        void pause(AGAIN_MS).then(follow);
      };
      function follow() {
        if (ended) return;
        unsubscribe = socket.subscribe<Delivered>(payload, {
          next: (answer) => {
            const cursor = answer.data?.events?.cursor;
            if (cursor === undefined) return;
            payload.variables.after = cursor;
            onLive(true);
            sink.next(answer as Parameters<typeof sink.next>[0]);
          },
          error: again,
          complete: again,
        });
      }
      follow();
      return {
        unsubscribe: () => {
          ended = true;
          unsubscribe();
        },
      };
    },
  });

interface Delivered extends Record<string, unknown> {
  readonly events?: { readonly cursor?: string };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
