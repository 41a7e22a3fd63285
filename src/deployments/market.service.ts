import type { Clock } from '../kernel/clock.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Places, PricesService } from '../pricing/prices.service.ts';
import { makeOfferingIndex, type OfferingIndex } from '../scheduler/offering-index.ts';
import { meansAnyRegion } from '../scheduler/region-pattern.ts';

export interface MarketDeps {
  readonly prices: Pick<PricesService, 'candidates' | 'places' | 'version'>;
  readonly clock: Clock;
}

/** What can be rented in some regions, with what is known of them. */
export interface MarketView {
  readonly index: OfferingIndex;
  readonly places: Places;
}

/** Prices that come into force, or that nobody confirms any more, are noticed after this. Higher: late; lower: the book is read for each plan. */
const KEPT_MS = 30_000;
/** Sets of regions whose offerings are held. Higher: memory; lower: deployments with policies of their own read the book each time. */
const MAX_HELD = 8;

/** Offerings that are held in all sets together. Higher: memory, about a kB each; lower: large sets are read from the book for each plan. */
const MAX_ROWS = 100_000;

interface Held {
  readonly version: string;
  readonly until: Instant;
  readonly view: MarketView;
}

/** Offerings and prices, held as an index for as long as the price book stays as it is. */
export class Market {
  readonly #deps: MarketDeps;
  readonly #held = new Map<string, Held>();

  constructor(deps: MarketDeps) {
    this.#deps = deps;
  }

  /** Everything in the regions that these patterns mean. */
  async view(tx: Transaction, patterns: readonly string[]): Promise<MarketView> {
    const { prices, clock } = this.#deps;
    const now = clock.now();
    const version = await prices.version(tx);
    const key = [...new Set(patterns)].sort().join(' ');
    const held = this.#held.get(key);
    if (held?.version === version && now < held.until) return held.view;
    const places = await prices.places(tx);
    const named = patterns.filter((pattern) => !pattern.includes('*'));
    const meant = [...places.zonesOf.keys()].filter((region) => meansAnyRegion(patterns, region));
    const regions = [...new Set([...named, ...meant])];
    const view = { places, index: makeOfferingIndex(await prices.candidates(tx, { regions })) };
    this.#held.delete(key);
    this.#held.set(key, { version, until: now + KEPT_MS, view });
    this.#forget();
    return view;
  }

  /** The oldest sets, but never the newest. */
  #forget(): void {
    const sizes = [...this.#held].map(([key, { view }]) => [key, view.index.size] as const);
    let rows = sizes.reduce((all, [, size]) => all + size, 0);
    for (const [key, size] of sizes.slice(0, -1)) {
      if (this.#held.size <= MAX_HELD && rows <= MAX_ROWS) return;
      this.#held.delete(key);
      rows -= size;
    }
  }
}
