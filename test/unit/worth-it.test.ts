// Tables of acts with a price history, and replays: seeded price processes that swing by ±80 %, in which the question whether to move is asked again
// and again, and what was really paid is compared with never having moved.
import { describe, expect, test } from 'vitest';
import { DAY_MS, HOUR_MS, MINUTE_MS, type Instant } from '../../src/kernel/instant.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import type { Random } from '../../src/kernel/random.ts';
import { isWorthIt, WORTH_IT, type DisruptiveAct, type RateStep } from '../../src/pricing/worth-it.ts';
import { seededRandom } from '../support/actors.ts';

const NOW = 1_800_000_000_000;
const usd = (amount: number): bigint => BigInt(Math.round(amount * 1_000_000)) * (PICO_PER_USD / 1_000_000n);
const since = (ms: number, amount: number): RateStep => ({ from: NOW - ms, rate: usd(amount) });
const act = (more: Partial<DisruptiveAct> = {}): DisruptiveAct => ({
  ...{ now: [since(30 * DAY_MS, 1)], then: [since(30 * DAY_MS, 0.4)] },
  ...{ costs: { move: usd(1), coldStart: usd(1), risk: usd(1) }, lastAt: null, disruption: { underWay: 0, allowed: 1 } },
  ...more,
});
const codes = (more: Partial<DisruptiveAct>) => isWorthIt(act(more), WORTH_IT, NOW).reasons.map(({ code }) => code);

describe('Worth-it: one test for every act that disturbs what runs', () => {
  test('a lasting saving that is a multiple of its costs is worth it, with its numbers', () => {
    expect(isWorthIt(act(), WORTH_IT, NOW)).toMatchObject({ worth: true, saving: usd(14.4), cost: usd(3) });
  });

  test.each<[string, Partial<DisruptiveAct>, string[]]>([
    ['costs too much', { costs: { move: usd(7.2), coldStart: 0n, risk: 0n } }, ['SAVES_TOO_LITTLE']],
    ['the same price', { then: [since(30 * DAY_MS, 1)], costs: { move: 0n, coldStart: 0n, risk: 0n } }, ['SAVES_TOO_LITTLE']],
    ['disturbed a while ago', { lastAt: NOW - WORTH_IT.cooldownMs + 1 }, ['COOLDOWN']],
    ['others are under way', { disruption: { underWay: 2, allowed: 2 } }, ['DISRUPTION_BUDGET']],
    ['a price that is new', { then: [since(HOUR_MS, 0.1)] }, ['TOO_LITTLE_HISTORY']],
    ['no price at all', { then: [] }, ['TOO_LITTLE_HISTORY']],
    ['cheap since an hour', { then: [since(30 * DAY_MS, 1), since(HOUR_MS, 0.1)] }, ['SAVES_TOO_LITTLE']],
    [
      'cheap but for one dear day',
      { then: [since(16 * DAY_MS, 0.1), since(3 * DAY_MS, 2), since(2 * DAY_MS, 0.1)] },
      ['SAVES_TOO_LITTLE'],
    ],
    [
      'everything at once',
      { then: [since(15 * DAY_MS, 1)], lastAt: NOW, disruption: { underWay: 1, allowed: 1 } },
      ['COOLDOWN', 'DISRUPTION_BUDGET', 'SAVES_TOO_LITTLE'],
    ],
    ['a cooldown that has passed', { lastAt: NOW - WORTH_IT.cooldownMs }, ['WORTH_IT']],
  ])('%s', (_, more, expected) => {
    expect(codes(more)).toEqual(expected);
  });
});

/** A factor of the mean price, between 0.2 and 1.8, as time goes on. */
type Swing = (at: Instant) => number;

const SWINGS: Readonly<Record<string, (random: Random) => Swing>> = {
  'each hour another': (random) => () => 0.2 + 1.6 * random.fraction(),
  'to and fro': (random) => {
    const periodMs = HOUR_MS * (1 + 23 * random.fraction());
    const phase = random.fraction();
    return (at) => (Math.floor(at / periodMs + phase) % 2 === 0 ? 0.2 : 1.8);
  },
  'mean-reverting': (random) => {
    const keep = Math.exp(-1 / (1 + 11 * random.fraction()));
    let x = 0;
    return () => {
      x = Math.max(-0.8, Math.min(0.8, keep * x + Math.sqrt(1 - keep * keep) * (random.fraction() * 2 - 1)));
      return 1 + x;
    };
  },
  'daily wave': (random) => {
    const phase = random.fraction();
    return (at) => 1 + 0.8 * Math.sin(2 * Math.PI * (at / DAY_MS + phase));
  },
};

const DAYS = 40;
/** Hours between two questions. */
const EVERY = 4;
const PLACES = 3;

interface Replay {
  readonly moves: readonly Instant[];
  /** What never moving would have cost more, after the costs of the moves; in pico-USD. */
  readonly saved: bigint;
}

/** Every hour each place has another price; moving costs what a quarter of an hour of both sides does, and a twentieth of a day as the risk. */
function replay(make: (random: Random) => Swing, seed: number, spread: number): Replay {
  const random = seededRandom(seed);
  const places = Array.from({ length: PLACES }, () => {
    const mean = 1 + spread * (random.fraction() * 2 - 1);
    const swing = make(random);
    return Array.from({ length: DAYS * 24 }, (_, hour): RateStep => {
      const from = NOW + hour * HOUR_MS;
      return { from, rate: usd(mean * swing(from)) };
    });
  });
  const end = DAYS * 24 - 24;
  const moves: Instant[] = [];
  let [here, saved] = [0, 0n];
  for (let hour = 1; hour < DAYS * 24; hour += 1) {
    const now = NOW + hour * HOUR_MS;
    const rate = (place: number): bigint => places[place]?.[hour]?.rate ?? 0n;
    const others = [...places.entries()].filter(([place]) => place !== here && hour % EVERY === 0 && hour < end);
    const options = others.map(([place, then]) => {
      const coldStart = ((rate(here) + rate(place)) * BigInt(15 * MINUTE_MS)) / BigInt(HOUR_MS);
      const costs = { move: 0n, coldStart, risk: rate(place) };
      const past = (steps: readonly RateStep[]) => steps.slice(Math.max(0, hour - 24 * 15), hour + 1);
      const asked = act({ now: past(places[here] ?? []), then: past(then), costs, lastAt: moves.at(-1) ?? null });
      return { place, verdict: isWorthIt(asked, WORTH_IT, now) };
    });
    const best = options
      .filter(({ verdict }) => verdict.worth)
      .sort((a, b) => ((a.verdict.saving ?? 0n) > (b.verdict.saving ?? 0n) ? -1 : 1))[0];
    if (best) {
      here = best.place;
      moves.push(now);
      saved -= best.verdict.cost;
    }
    saved += rate(0) - rate(here);
  }
  return { moves, saved };
}

const MANY_REPLAYS_MS = 60_000;

describe('Worth-it: prices that swing by ±80 %', () => {
  const SEEDS = Array.from({ length: 24 }, (_, n) => n + 1);

  test.each(Object.entries(SWINGS))(
    '%s: at most one move per cooldown, and never dearer than staying',
    { timeout: MANY_REPLAYS_MS },
    (_, make) => {
      const replays = [0.3, 0.9].flatMap((spread) => SEEDS.map((seed) => replay(make, seed, spread)));
      for (const { moves, saved } of replays) {
        const gaps = moves.slice(1).map((at, n) => at - (moves[n] ?? 0));
        expect(Math.min(...gaps, Infinity)).toBeGreaterThanOrEqual(WORTH_IT.cooldownMs);
        expect(saved).toBeGreaterThanOrEqual(0n);
      }
      // A test that never moved would pass as well.
      expect(replays.filter(({ saved }) => saved > 0n).length).toBeGreaterThan(SEEDS.length / 4);
    },
  );

  test('equal on average: nothing is moved for a swing alone', { timeout: MANY_REPLAYS_MS }, () => {
    const moved = Object.values(SWINGS).flatMap((make) => SEEDS.map((seed) => replay(make, seed, 0).moves.length));
    expect(moved.filter((moves) => moves > 0)).toEqual([]);
  });
});
