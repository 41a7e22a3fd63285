import { Counter, Gauge, type MetricRegistry } from '../telemetry/metrics.ts';
import type { Instant } from '../kernel/instant.ts';
import type { FeedState } from './price-feed-store.port.ts';

/** What reading prices counts. */
export interface PricingMetrics {
  /** A feed was asked; `refused` = it answered, and nothing of it is believed. */
  asked(feed: string, outcome: 'read' | 'refused' | 'failed'): void;
  /** Prices that moved. */
  moved(feed: string, prices: number): void;
  saw(feeds: readonly FeedState[], now: Instant): void;
}

export function makePricingMetrics(registry: MetricRegistry): PricingMetrics {
  const registers = [registry];
  const labelNames = ['feed'] as const;
  const reads = new Counter({
    name: 'purser_price_feed_reads_total',
    help: 'Readings of price feeds by outcome.',
    labelNames: ['feed', 'outcome'],
    registers,
  });
  const prices = new Counter({ name: 'purser_prices_moved_total', help: 'Prices that feeds moved.', labelNames, registers });
  const age = new Gauge({
    name: 'purser_price_feed_age_seconds',
    help: 'Since a feed was last read and believed.',
    labelNames,
    registers,
  });
  const quarantined = new Gauge({
    name: 'purser_prices_quarantined',
    help: 'Prices of a feed that are not believed and wait.',
    labelNames,
    registers,
  });
  const stale = new Gauge({
    name: 'purser_price_feed_stale',
    help: '1 while a feed is silent for so long that its prices decide nothing.',
    labelNames,
    registers,
  });
  return {
    asked: (feed, outcome) => {
      reads.inc({ feed, outcome });
    },
    moved: (feed, count) => {
      prices.inc({ feed }, count);
    },
    saw: (feeds, now) => {
      for (const gauge of [age, quarantined, stale]) gauge.reset();
      for (const { name, readAt, createdAt, quarantined: waiting, staleSince } of feeds.filter((feed) => feed.isConfigured)) {
        age.set({ feed: name }, (now - (readAt ?? createdAt)) / 1000);
        quarantined.set({ feed: name }, waiting);
        stale.set({ feed: name }, staleSince === null ? 0 : 1);
      }
    },
  };
}
