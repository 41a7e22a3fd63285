import { createClient as createSocket } from 'graphql-ws';
import { Client, fetchExchange, subscriptionExchange } from 'urql';

/** Queries over HTTP, subscriptions over one WebSocket that comes back by itself and goes on behind the last cursor. */
export function makeClient(token: string): Client {
  const socket = createSocket({
    url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/graphql`,
    connectionParams: { authorization: `Bearer ${token}` },
    shouldRetry: () => true,
    retryAttempts: Number.POSITIVE_INFINITY,
  });
  return new Client({
    url: '/graphql',
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables }) => ({
          subscribe: (sink) => {
            // The socket sends this object again after each break, with the cursor that it has by then.
            const payload = { query, variables: { ...variables } as Record<string, unknown> };
            const unsubscribe = socket.subscribe<Delivered>(payload, {
              next: (answer) => {
                const cursor = answer.data?.events?.cursor;
                if (cursor !== undefined) payload.variables.after = cursor;
                sink.next(answer as Parameters<typeof sink.next>[0]);
              },
              error: (error) => sink.error(error),
              complete: () => sink.complete(),
            });
            return { unsubscribe };
          },
        }),
      }),
    ],
  });
}

interface Delivered extends Record<string, unknown> {
  readonly events?: { readonly cursor?: string };
}
