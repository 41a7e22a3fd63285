// Feeds as they stand at an instant, and what is to be done with them then.
import { describe, expect, test } from 'vitest';
import { HOUR_MS, MINUTE_MS } from '../../src/kernel/instant.ts';
import { dueAt, planPriceFeeds } from '../../src/pricing/plan-price-feeds.ts';
import type { FeedState } from '../../src/pricing/price-feed-store.port.ts';

const T0 = Date.parse('2026-11-21T00:00:00Z');
const feed = (change: Partial<FeedState> = {}): FeedState => ({
  ...{ id: 'feed', name: 'feed', isConfigured: true, intervalMs: HOUR_MS, staleAfterMs: 24 * HOUR_MS, createdAt: T0 },
  ...{
    attemptedAt: T0,
    readAt: T0,
    asOf: null,
    edition: null,
    rowsByRegion: {},
    rows: 1,
    quarantined: 0,
    awaitsSecondRead: false,
  },
  ...{ unreadable: [], errorCode: null, errorMessage: null, failures: 0, staleSince: null, version: 1 },
  ...change,
});
/** How long after the last attempt, to the tenth by which feeds are spread. */
const waits = (change: Partial<FeedState>): number => (dueAt(feed(change)) - T0) / MINUTE_MS;
const within = (minutes: number, most: number): boolean => minutes > most * 0.9 - 1e-6 && minutes <= most;

describe('Price gate: when feeds are read, and when they are silent', () => {
  test.each<[string, Partial<FeedState>, number]>([
    ['one that is well', {}, 60],
    ['one that failed', { failures: 1 }, 0.25],
    ['one that failed thrice', { failures: 3 }, 1],
    ['one that fails for ever', { failures: 1_000 }, 60],
    ['one that said what only a second read can confirm', { awaitsSecondRead: true }, 1],
    ['the same, that is read more often than that', { awaitsSecondRead: true, intervalMs: 30_000 }, 0.5],
  ])('%s is read again after at most %o', (_, change, most) => {
    expect(within(waits(change), most), String(waits(change))).toBe(true);
  });

  test('a new one is read at once, one that is not configured never; feeds of one interval are spread', () => {
    const plan = planPriceFeeds(
      [feed({ attemptedAt: null }), feed({ name: 'gone', attemptedAt: null, isConfigured: false })],
      T0,
    );
    expect(plan).toEqual({ read: ['feed'], silences: [] });
    const due = ['aws', 'gcp', 'azure-retail', 'lambda'].map((name) => dueAt(feed({ name })));
    expect(new Set(due).size).toBe(due.length);
  });

  test('silence counts from the last reading that was believed, not from the last attempt, and is told once', () => {
    const silences = (change: Partial<FeedState>, at: number) =>
      planPriceFeeds([feed({ attemptedAt: at, ...change })], at).silences.map(({ since }) => since);
    const limit = T0 + 24 * HOUR_MS;
    expect(silences({}, limit - 1)).toEqual([]);
    expect(silences({}, limit)).toEqual([limit]);
    expect(silences({ staleSince: limit }, limit + HOUR_MS)).toEqual([]);
    expect(silences({ staleSince: limit, readAt: limit + HOUR_MS }, limit + HOUR_MS)).toEqual([null]);
    expect(silences({ readAt: null }, limit)).toEqual([limit]);
    // Who is not asked any more falls silent like everybody; who never spoke has nothing to confirm.
    expect(silences({ isConfigured: false }, limit - 1)).toEqual([]);
    expect(silences({ isConfigured: false }, limit)).toEqual([limit]);
    expect(silences({ isConfigured: false, readAt: null }, limit)).toEqual([]);
  });
});
