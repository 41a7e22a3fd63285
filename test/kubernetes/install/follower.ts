// Somebody who follows events and goes on behind the last one when a connection breaks, as the command line does.
import type { PurserClient } from '../../../clients/typescript/purser-client.ts';

interface Delivery {
  readonly events: { readonly __typename: string; readonly cursor: string };
}
interface Page {
  readonly events: {
    readonly events: readonly { readonly cursor: string }[];
    readonly cursor: string;
    readonly hasMore: boolean;
  };
}

const FOLLOW = `subscription ($after: EventCursor) { events(after: $after) { __typename ... on Event { cursor } ... on Gap { cursor }
  ... on Heartbeat { cursor } } }`;
const READ = 'query ($after: EventCursor) { events(after: $after) { events { cursor } cursor hasMore } }';

export class Follower {
  /** Cursors of events, as they came. */
  readonly seen: string[] = [];
  readonly gaps: string[] = [];
  /** Where it began: the first thing that it was told. */
  start: string | null = null;
  readonly #client: PurserClient;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor(client: PurserClient) {
    this.#client = client;
    this.#ended = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  /** What happened since it began, asked afterwards. */
  async happened(): Promise<string[]> {
    const all: string[] = [];
    for (let after = this.start; ;) {
      const { events } = await this.#client.request<Page, object>(READ, { after });
      all.push(...events.events.map(({ cursor }) => cursor));
      if (!events.hasMore) return all;
      after = events.cursor;
    }
  }

  async #follow(): Promise<void> {
    const options = { cursorOf: ({ events }: Delivery) => events.cursor, signal: this.#stop.signal };
    for await (const { events } of this.#client.follow<Delivery, { after?: string | null }>(FOLLOW, {}, options)) {
      this.start ??= events.cursor;
      if (events.__typename === 'Event') this.seen.push(events.cursor);
      if (events.__typename === 'Gap') this.gaps.push(events.cursor);
    }
  }
}
