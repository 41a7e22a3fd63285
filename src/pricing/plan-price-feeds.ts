import type { Instant } from '../kernel/instant.ts';
import type { FeedState } from './price-feed-store.port.ts';

/** The wait after a first failure; each further one doubles it, up to the feed's interval. Higher: outages last; lower: hammers what is down. */
const FIRST_RETRY_MS = 15_000;
/** A second read that is waited for comes so soon. Higher: honest jumps are believed late; lower: it may be answered from the same cache. */
const SECOND_READ_MS = 60_000;
/** Share of the interval by which feeds are spread, so that those with one interval do not all come at once. */
const SPREAD = 0.1;

/** What shall be done with the feeds now. */
export interface FeedsPlan {
  /** Names of those that are to be read. */
  readonly read: readonly string[];
  /** Those that have become silent, or are heard again: since when, null = heard. */
  readonly silences: readonly { readonly feed: FeedState; readonly since: Instant | null }[];
}

/**
 * Reads what is due, and tells silence from the last good reading: who answers nonsense is as silent as who does not answer, and so is who is not
 * asked any more.
 */
export function planPriceFeeds(feeds: readonly FeedState[], now: Instant): FeedsPlan {
  const configured = feeds.filter(({ isConfigured }) => isConfigured);
  const silences = feeds.flatMap((feed) => {
    if (!feed.isConfigured && feed.readAt === null) return [];
    const since = silentSince(feed, now);
    return since === feed.staleSince ? [] : [{ feed, since }];
  });
  return { read: configured.filter((feed) => dueAt(feed) <= now).map(({ name }) => name), silences };
}

/** When it is to be read next. */
export function dueAt(feed: FeedState): Instant {
  if (feed.attemptedAt === null) return 0;
  return feed.attemptedAt + Math.round(waitOf(feed) * (1 - SPREAD * fractionOf(feed.name)));
}

function waitOf({ intervalMs, failures, awaitsSecondRead }: FeedState): number {
  if (failures > 0) return Math.min(intervalMs, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 20));
  return awaitsSecondRead ? Math.min(intervalMs, SECOND_READ_MS) : intervalMs;
}

/** Since when nothing that it says may decide anything; null = it is heard. */
export function silentSince({ readAt, createdAt, staleAfterMs, staleSince }: FeedState, now: Instant): Instant | null {
  const from = (readAt ?? createdAt) + staleAfterMs;
  if (now < from) return null;
  return staleSince ?? from;
}

/** In [0, 1), the same for the same name everywhere. */
const fractionOf = (name: string): number => {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 9973;
  return hash / 9973;
};
