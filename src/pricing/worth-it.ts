import { DAY_MS, HOUR_MS, type Instant } from '../kernel/instant.ts';
import { formatUsd, type PicoUsd, type PicoUsdPerHour } from '../kernel/money.ts';

/** A price that holds from then on, until the next one. */
export interface RateStep {
  readonly from: Instant;
  readonly rate: PicoUsdPerHour;
}

export interface WorthItPolicy {
  /** Saving is counted over this, in ms. Higher: acts that pay late are taken; lower: only the surest are. */
  readonly horizonMs: number;
  /** How far back prices are looked at; at least the horizon. Higher: a new price is trusted late; lower: a short dip looks lasting. */
  readonly lookbackMs: number;
  /** The saving must be this many times what the act costs. Higher: less is moved; lower: an act that costs more than estimated loses money. */
  readonly factor: number;
  /** Between two acts on the same thing, in ms. Higher: savings wait; lower: replicas are never left in peace. */
  readonly cooldownMs: number;
}

export const WORTH_IT: WorthItPolicy = { horizonMs: DAY_MS, lookbackMs: 14 * DAY_MS, factor: 2, cooldownMs: DAY_MS };

/** Something that disturbs what runs in order to pay less: a move, emptying a node, another kind of capacity. */
export interface DisruptiveAct {
  /** What is paid as things are and as they would be, as change points, the oldest first; several that hold from one instant: the last. */
  readonly now: readonly RateStep[];
  readonly then: readonly RateStep[];
  /** What it costs once, in pico-USD. `coldStart`: both sides are paid until the new one serves; `risk`: what may go wrong, times its share. */
  readonly costs: { readonly move: PicoUsd; readonly coldStart: PicoUsd; readonly risk: PicoUsd };
  /** When the same thing was last disturbed; null = never. */
  readonly lastAt: Instant | null;
  /** Acts that are under way beside this one, and how many may be at a time. */
  readonly disruption: { readonly underWay: number; readonly allowed: number };
}

export const WORTH_IT_REASONS = ['COOLDOWN', 'DISRUPTION_BUDGET', 'TOO_LITTLE_HISTORY', 'SAVES_TOO_LITTLE', 'WORTH_IT'] as const;

export interface WorthItVerdict {
  readonly worth: boolean;
  /** Everything that stands against it; else the one thing that speaks for it. */
  readonly reasons: readonly { readonly code: (typeof WORTH_IT_REASONS)[number]; readonly message: string }[];
  /** To be expected over the horizon, before costs; null = prices are not known for long enough. */
  readonly saving: PicoUsd | null;
  readonly cost: PicoUsd;
}

type Reason = WorthItVerdict['reasons'][number];

/**
 * The one test that every disruptive act passes: saving over the horizon > factor × (move + cold start + risk), not too soon after the last
 * act on the same thing, and within the number of acts that may be under way. What is saved now says little of a price that swings, so
 * the saving is that of the worst stretch of the horizon's length within the time looked back on: one that was not there all the while
 * is not counted on.
 */
export function isWorthIt(act: DisruptiveAct, policy: WorthItPolicy, now: Instant): WorthItVerdict {
  const { move, coldStart, risk } = act.costs;
  const cost = move + coldStart + risk;
  const saving = leastSaving(act, policy, now);
  const against = [cooldown(act, policy, now), budget(act), tooLittle({ saving, cost }, policy)].filter((one) => one !== null);
  if (against.length > 0 || saving === null) return { worth: false, reasons: against, saving, cost };
  const message = `It saves ${formatUsd(saving)} USD in ${hours(policy.horizonMs)} h and costs ${formatUsd(cost)} USD.`;
  return { worth: true, reasons: [{ code: 'WORTH_IT', message }], saving, cost };
}

function cooldown({ lastAt }: DisruptiveAct, { cooldownMs }: WorthItPolicy, now: Instant): Reason | null {
  if (lastAt === null || now - lastAt >= cooldownMs) return null;
  const left = Math.ceil((lastAt + cooldownMs - now) / 1_000);
  return { code: 'COOLDOWN', message: `It was disturbed a while ago: not again for ${left} s.` };
}

function budget({ disruption: { underWay, allowed } }: DisruptiveAct): Reason | null {
  if (underWay < allowed) return null;
  return { code: 'DISRUPTION_BUDGET', message: `${underWay} such acts are under way, and ${allowed} may be at a time.` };
}

function tooLittle(
  { saving, cost }: { readonly saving: PicoUsd | null; readonly cost: PicoUsd },
  { horizonMs, lookbackMs, factor }: WorthItPolicy,
): Reason | null {
  if (saving === null) return { code: 'TOO_LITTLE_HISTORY', message: `Its prices are not known for ${hours(lookbackMs)} h yet.` };
  // In thousandths, so that no money becomes a float.
  if (saving * 1_000n > cost * BigInt(Math.round(factor * 1_000))) return null;
  const message = `In ${hours(horizonMs)} h it would save ${formatUsd(saving)} USD; it costs ${formatUsd(cost)} USD, and must save ${factor} times that.`;
  return { code: 'SAVES_TOO_LITTLE', message };
}

const hours = (ms: number): number => Math.round(ms / HOUR_MS);

/** A stretch of time in which a rate was saved; below zero where the other side was dearer. */
interface Saved {
  readonly from: Instant;
  readonly to: Instant;
  readonly rate: PicoUsdPerHour;
}

function leastSaving(act: DisruptiveAct, { horizonMs, lookbackMs }: WorthItPolicy, now: Instant): PicoUsd | null {
  const from = now - lookbackMs;
  const isKnown = [act.now, act.then].every(([first]) => first !== undefined && first.from <= from);
  return isKnown ? leastOfWindows(savedBetween(act, from, now), horizonMs) / BigInt(HOUR_MS) : null;
}

function savedBetween(act: DisruptiveAct, from: Instant, to: Instant): Saved[] {
  const cuts = [...act.now, ...act.then].map((step) => step.from).filter((at) => at > from && at < to);
  const bounds = [...new Set([from, ...cuts, to])].sort((a, b) => a - b);
  const [before, after] = [reader(act.now), reader(act.then)];
  return bounds.slice(0, -1).map((at, n) => ({ from: at, to: bounds[n + 1] ?? to, rate: before(at) - after(at) }));
}

/** Reads the rate at instants that only rise. */
function reader(steps: readonly RateStep[]): (at: Instant) => PicoUsdPerHour {
  let next = 0;
  let rate = 0n;
  return (at) => {
    for (; (steps[next]?.from ?? Infinity) <= at; next += 1) rate = steps[next]?.rate ?? rate;
    return rate;
  };
}

/**
 * The least that any window of this length holds, in pico-USD/h × ms. The integral over a sliding window is piecewise linear: its least
 * value is where one of the window's ends meets a step.
 */
function leastOfWindows(steps: readonly Saved[], length: number): bigint {
  const integral = integralOf(steps);
  const [first, last] = [steps[0]?.from ?? 0, steps.at(-1)?.to ?? 0];
  const ends = steps.flatMap(({ from, to }) => [from + length, to]).filter((end) => end - length >= first && end <= last);
  const sums = ends.map((end) => integral(end) - integral(end - length));
  return sums.reduce((least, sum) => (sum < least ? sum : least), sums[0] ?? 0n);
}

/** The integral from the first step until an instant, found by halving. */
function integralOf(steps: readonly Saved[]): (until: Instant) => bigint {
  const sums: bigint[] = [0n];
  for (const { from, to, rate } of steps) sums.push((sums.at(-1) ?? 0n) + rate * BigInt(to - from));
  return (until) => {
    let [low, high] = [0, steps.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((steps[middle]?.from ?? 0) <= until) low = middle;
      else high = middle - 1;
    }
    const step = steps[low];
    return step ? (sums[low] ?? 0n) + step.rate * BigInt(until - step.from) : 0n;
  };
}
