import { HOUR_MS, MINUTE_MS } from '../kernel/instant.ts';
import type { Random } from '../kernel/random.ts';
import type { SpotGroup, SpotTrace } from './spot-market.ts';

export interface MarketShape {
  readonly regions: number;
  readonly zonesPerRegion: number;
  readonly days: number;
  readonly tickMs: number;
  /** Instances that a pool has at its best. */
  readonly capacity: number;
}

/** What `purser simulate spot --market` serves from: few zones with much, many zones with little, one zone. */
export const MARKETS: readonly MarketShape[] = [
  { regions: 3, zonesPerRegion: 3, days: 30, tickMs: 3 * MINUTE_MS, capacity: 1 },
  { regions: 1, zonesPerRegion: 3, days: 14, tickMs: MINUTE_MS, capacity: 4 },
  { regions: 1, zonesPerRegion: 1, days: 14, tickMs: 5 * MINUTE_MS, capacity: 16 },
];

/** How the bundled traces look: losses get rarer the longer a pool is up (`spot-hazard.ts`), a shortage lasts minutes to hours. */
const UP_SHAPE = 0.7;
const UP_SCALE_MS = 15 * MINUTE_MS;
const MAX_UP_MS = 240 * HOUR_MS;
const MEAN_DOWN_MS = HOUR_MS;
/** Share of losses that hit another zone of the region as well, and of those that leave something. */
const JOINT_SHARE = 0.2;
const PART_SHARE = 0.4;
/** A price changes so often, by up to so much, and is pulled back towards 1. */
const PRICE_MS = 4 * HOUR_MS;
const PRICE_STEP = 0.1;
const PRICE_PULL = 0.9;

/** A market that never was: same seed, same market. */
export function makeMarket(shape: MarketShape, random: Random, name: string): SpotGroup {
  const ticks = Math.floor((shape.days * 24 * HOUR_MS) / shape.tickMs);
  const regions = Array.from({ length: shape.regions }, (_, region) => makeRegion(shape, ticks, random, `made-up-${region + 1}`));
  return { name, tickMs: shape.tickMs, ticks, traces: regions.flat() };
}

function makeRegion(shape: MarketShape, ticks: number, random: Random, region: string): SpotTrace[] {
  const zones = Array.from({ length: shape.zonesPerRegion }, () => new MadeUpPool(shape, random));
  const series = zones.map((): number[] => []);
  for (let tick = 0; tick < ticks; tick += 1) {
    const lost = zones.filter((zone) => zone.step());
    for (const zone of zones) if (lost.length > 0 && !lost.includes(zone) && random.fraction() < JOINT_SHARE) zone.lose();
    zones.forEach((zone, n) => series[n]?.push(zone.available));
  }
  return zones.map((_, n) => ({
    pool: `${region}${String.fromCharCode(97 + n)}`,
    available: series[n] ?? [],
    prices: makePrices(ticks, shape.tickMs, random),
  }));
}

class MadeUpPool {
  readonly #shape: MarketShape;
  readonly #random: Random;
  #ticksLeft: number;
  available: number;

  constructor(shape: MarketShape, random: Random) {
    this.#shape = shape;
    this.#random = random;
    this.available = shape.capacity;
    this.#ticksLeft = this.#upTicks();
  }

  /** One sample on; true if something was lost. */
  step(): boolean {
    this.#ticksLeft -= 1;
    if (this.#ticksLeft > 0) return false;
    if (this.available > 0) {
      this.lose();
      return true;
    }
    this.available = this.#shape.capacity;
    this.#ticksLeft = this.#upTicks();
    return false;
  }

  lose(): void {
    const isPart = this.#random.fraction() < PART_SHARE;
    this.available = isPart ? Math.floor(this.available * this.#random.fraction()) : 0;
    const downMs = -Math.log(1 - this.#random.fraction()) * MEAN_DOWN_MS;
    this.#ticksLeft = this.available > 0 ? this.#upTicks() : Math.ceil(downMs / this.#shape.tickMs);
  }

  /** Lomax distributed, by inversion. */
  #upTicks(): number {
    const upMs = UP_SCALE_MS * ((1 - this.#random.fraction()) ** (-1 / UP_SHAPE) - 1);
    return Math.max(1, Math.ceil(Math.min(MAX_UP_MS, upMs) / this.#shape.tickMs));
  }
}

/** A walk in logarithms, changed now and then. */
function makePrices(ticks: number, tickMs: number, random: Random): number[] {
  const stepTicks = Math.max(1, Math.round(PRICE_MS / tickMs));
  let log = 0;
  return Array.from({ length: ticks }, (_, tick) => {
    if (tick % stepTicks === 0) log = PRICE_PULL * log + PRICE_STEP * (2 * random.fraction() - 1);
    return Math.exp(log);
  });
}
