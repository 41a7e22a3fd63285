import fc from 'fast-check';
import type { LineState, RatedStep } from '../../src/costs/attribute-costs.ts';
import { UNIT_PRICES, type NodeMinute, type NodeShape, type PodOnNode, type Quantities } from '../../src/costs/attribute-node.ts';
import { costOfInterval } from '../../src/kernel/money.ts';

export const MINUTE = 29_000_000 * 60_000;
export const END = MINUTE + 60_000;
const NAMES = ['alpha', 'beta', 'delta', 'gamma', 'omega'];
export const instant = fc.integer({ min: MINUTE - 3_000, max: END + 3_000 });
const rate = fc.oneof(fc.bigInt({ min: 0n, max: 10n ** 13n }), fc.constant(0n), fc.bigInt({ min: 1n, max: 3_000_000n }));
const quantities = (most: Quantities): fc.Arbitrary<Quantities> =>
  fc.record({ cpuMilli: fc.nat(most.cpuMilli), memoryMib: fc.nat(most.memoryMib), gpuMilli: fc.nat(most.gpuMilli) });

const prices = fc
  .tuple(fc.uniqueArray(instant, { maxLength: 3 }), fc.array(fc.option(rate), { minLength: 4, maxLength: 4 }), fc.nat(2))
  .map(([cuts, rates, name]): RatedStep[] => {
    const bounds = [0, ...cuts.sort((a, b) => a - b), 2 ** 45];
    // Every second stretch has the same row again: a price that comes back.
    return bounds.slice(1).flatMap((to, i) => {
      const effective = rates[i % 2];
      if (effective === null || effective === undefined) return [];
      const priceId = `${name}-${i % 2}`;
      return [{ from: bounds[i]!, to, priceId, list: effective * 2n + 1n, contracted: effective + 5n, effective }];
    });
  });
const shapes = fc
  .tuple(
    fc.uniqueArray(instant, { maxLength: 2 }),
    fc.array(fc.tuple(quantities({ cpuMilli: 8_000, memoryMib: 16_384, gpuMilli: 2_000 }), prices), {
      minLength: 3,
      maxLength: 3,
    }),
  )
  .map(([cuts, kinds]): NodeShape[] =>
    [0, ...cuts.sort((a, b) => a - b)].map((at, i) => ({
      at,
      capacity: kinds[i]![0],
      unitPrices: 1,
      offeringId: null,
      steps: kinds[i]![1].map((step) => ({ ...step, priceId: `${i}-${step.priceId}` })),
    })),
  );
const pod = (podId: string): fc.Arbitrary<PodOnNode> =>
  fc
    .record({
      cuts: fc.uniqueArray(instant, { minLength: 2, maxLength: 5 }),
      states: fc.array(fc.constantFrom<LineState>('starting', 'serving', 'unready', 'draining'), { minLength: 5, maxLength: 5 }),
      foreign: fc.boolean(),
      requests: fc.array(quantities({ cpuMilli: 4_000, memoryMib: 8_000, gpuMilli: 1_000 }), { minLength: 5, maxLength: 5 }),
      use: fc.record({ cpuMilli: fc.option(fc.nat(6_000)), memoryMib: fc.option(fc.nat(9_000)) }),
    })
    .map(({ cuts, states, foreign, requests, use }) => {
      const bounds = cuts.sort((a, b) => a - b);
      const pieces = bounds
        .slice(1)
        .map((to, i) => ({ from: bounds[i]!, to, state: foreign ? ('' as const) : states[i]!, requests: requests[i]! }));
      return { podId, use, pieces };
    });
export const nodeMinute: fc.Arbitrary<NodeMinute> = fc.record({
  minute: fc.constant(MINUTE),
  knownUntil: fc.constant(END),
  node: fc.record({
    capacityFrom: fc.integer({ min: MINUTE - 9_000, max: END }),
    capacityUntil: fc.option(fc.integer({ min: MINUTE - 9_000, max: END + 9_000 })),
    shapes,
  }),
  pods: fc.subarray(NAMES).chain((names) => fc.tuple(...names.map(pod))),
});

/** The rounded-down shares, then one more for each of the largest remainders, found by sorting pairs. */
function naiveSplit(total: bigint, weights: readonly (readonly [string, bigint])[]): Map<string, bigint> {
  const whole = weights.reduce((sum, [, weight]) => sum + weight, 0n);
  const found = new Map<string, bigint>();
  if (whole === 0n) return found;
  const rest = weights
    .map(([key, weight]) => [key, (total * weight) % whole] as const)
    .filter(([key]) => weights.some(([k, w]) => k === key && w > 0n));
  for (const [key, weight] of weights) found.set(key, (total * weight) / whole);
  const left = total - [...found.values()].reduce((a, b) => a + b, 0n);
  rest.sort(([a, x], [b, y]) => (x === y ? (a < b ? -1 : 1) : x < y ? 1 : -1));
  for (const [key] of rest.slice(0, Number(left))) found.set(key, found.get(key)! + 1n);
  return found;
}

interface Holding {
  readonly podId: string;
  readonly state: string;
  readonly requests: Quantities;
  ms: number;
}

interface NaiveStep {
  readonly from: number;
  to: number;
  readonly name: string;
  readonly shape: NodeShape;
  readonly price: RatedStep | null;
  /** Milliseconds by pod, state and request. */
  readonly held: Map<string, Holding>;
}

/** The shape and the price of one ms, with a name that differs where either does. */
function rulesAt({ shapes }: NodeMinute['node'], at: number) {
  const index = Math.max(
    0,
    shapes.findLastIndex((shape) => shape.at <= at),
  );
  const shape = shapes[index]!;
  const price = shape.steps.find(({ from, to }) => from <= at && at < to) ?? null;
  // Unpriced stretches before and after a price are two.
  const since = price?.from ?? shape.steps.filter(({ to }) => to <= at).length;
  return { shape, price, name: `${index} ${price?.priceId ?? ''} ${since}` };
}

function hold(held: Map<string, Holding>, pods: readonly PodOnNode[], at: number): void {
  for (const { podId, pieces } of pods) {
    const n = pieces.findIndex(({ from, to }) => from <= at && at < to);
    const piece = pieces[n];
    if (!piece) continue;
    const before = held.get(`${podId} ${n}`);
    if (before) before.ms += 1;
    else held.set(`${podId} ${n}`, { podId, state: piece.state, requests: piece.requests, ms: 1 });
  }
}

/** What each ms of the minute belongs to, collected into stretches. */
function naiveSteps({ node, pods }: NodeMinute): NaiveStep[] {
  const steps: NaiveStep[] = [];
  for (let at = Math.max(MINUTE, node.capacityFrom); at < Math.min(END, node.capacityUntil ?? END); at += 1) {
    const rules = rulesAt(node, at);
    let step = steps.at(-1);
    if (step?.name !== rules.name) steps.push((step = { from: at, to: at, ...rules, held: new Map() }));
    step.to = at + 1;
    hold(step.held, pods, at);
  }
  return steps;
}

const QUANTITY = [
  ['cpu', 'cpuMilli'],
  ['gpu', 'gpuMilli'],
  ['memory', 'memoryMib'],
] as const;

/** What each pod has of the step, and under the empty name what nobody has. */
function naiveSums({ from, to, shape, price, held }: NaiveStep, pods: readonly PodOnNode[]): Map<string, bigint> {
  const total = price ? costOfInterval(price.effective, from, to) : 0n;
  const { cpu, gib, gpu } = UNIT_PRICES[1]!;
  const parts = naiveSplit(total, [
    ['cpu', cpu * BigInt(shape.capacity.cpuMilli) * 1_024n],
    ['gpu', gpu * BigInt(shape.capacity.gpuMilli) * 1_024n],
    ['memory', gib * BigInt(shape.capacity.memoryMib) * 1_000n],
  ]);
  const sums = new Map<string, bigint>(parts.size === 0 ? [['', total]] : []);
  for (const [part, name] of QUANTITY) {
    const weights = naiveWeights(name, held, pods);
    const taken = [...weights.values()].reduce((a, b) => a + b, 0n);
    const free = BigInt(shape.capacity[name]) * BigInt(to - from) - taken;
    const shares = naiveSplit(parts.get(part) ?? 0n, [['', free < 0n ? 0n : free], ...weights]);
    for (const [key, share] of shares) sums.set(key, (sums.get(key) ?? 0n) + share);
  }
  return sums;
}

function naiveWeights(name: keyof Quantities, held: NaiveStep['held'], pods: readonly PodOnNode[]): Map<string, bigint> {
  const weights = new Map<string, bigint>();
  for (const { podId, requests, ms } of held.values()) {
    const use = pods.find((one) => one.podId === podId)!.use;
    const used = name === 'gpuMilli' ? null : use[name];
    const amount = used === null || used < requests[name] ? requests[name] : used;
    weights.set(podId, (weights.get(podId) ?? 0n) + BigInt(ms) * BigInt(amount));
  }
  return weights;
}

/** Effective amounts by pod (empty: idle), price and state. */
export function naive(input: NodeMinute): Map<string, bigint> {
  const parts = naiveSteps(input).flatMap((step) =>
    [...naiveSums(step, input.pods)].flatMap(([podId, share]) =>
      [...naiveSplit(share, statesIn(step, podId))].map(
        ([state, part]) => [`${podId}|${step.price?.priceId ?? ''}|${state}`, part] as const,
      ),
    ),
  );
  const found = new Map<string, bigint>();
  for (const [key, part] of parts) if (part > 0n) found.set(key, (found.get(key) ?? 0n) + part);
  return found;
}

function statesIn({ held }: NaiveStep, podId: string): (readonly [string, bigint])[] {
  if (podId === '') return [['', 1n]];
  const own = Map.groupBy(
    [...held.values()].filter((one) => one.podId === podId),
    ({ state }) => state,
  );
  return [...own].map(([state, holdings]) => [state, BigInt(holdings.reduce((ms, one) => ms + one.ms, 0))]);
}
