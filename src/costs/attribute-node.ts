import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import { costOfInterval, splitByLargestRemainder, type PicoUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import {
  addAmounts,
  isNothing,
  ratedParts,
  ZERO,
  type Amounts,
  type LineState,
  type RatedStep,
  type StateCost,
} from './attribute-costs.ts';

/** What a node has, or what a pod asks for or uses: thousandths of a CPU, MiB, thousandths of an accelerator. */
export interface Quantities {
  readonly cpuMilli: number;
  readonly memoryMib: number;
  readonly gpuMilli: number;
}

/** What a pod used in a minute, on average; null = nobody has measured it. */
export interface PodUse {
  readonly cpuMilli: number | null;
  readonly memoryMib: number | null;
}

/** From `at` on the node has this capacity and is priced by this offering. */
export interface NodeShape {
  readonly at: Instant;
  readonly capacity: Quantities;
  /** Which of `UNIT_PRICES` it is shared out by. */
  readonly unitPrices: number;
  readonly offeringId: Id | null;
  /** The believed prices of the offering. */
  readonly steps: readonly RatedStep[];
}

export interface NodeLife {
  readonly capacityFrom: Instant;
  /** Null while it is there. */
  readonly capacityUntil: Instant | null;
  /** Oldest first; the first one also holds before it was seen. */
  readonly shapes: readonly NodeShape[];
}

/** A stretch of a pod's time on the node in one state; what is no replica of ours has none. */
export interface PodPiece {
  readonly from: Instant;
  readonly to: Instant;
  readonly state: LineState;
  readonly requests: Quantities;
}

export interface PodOnNode {
  readonly podId: Id;
  /** Without overlap. */
  readonly pieces: readonly PodPiece[];
  readonly use: PodUse;
}

export interface NodeMinute {
  readonly minute: Instant;
  /** Nothing is known after this instant: the end of the minute when it is closed, now while it is open. */
  readonly knownUntil: Instant;
  readonly node: NodeLife;
  readonly pods: readonly PodOnNode[];
}

export interface NodeShares {
  /** What nobody has; the time is the node's. */
  readonly idle: readonly StateCost[];
  /** Of every pod that was there, by uid. */
  readonly pods: ReadonlyMap<Id, readonly StateCost[]>;
}

/**
 * What a CPU, a GiB of memory and an accelerator are worth beside each other, in millionths of a dollar per hour. Only their proportion
 * counts. A shape keeps its version, so that a new one never changes what was booked. Version 1: the default prices of OpenCost, which are
 * those of a core and a GiB of Google's N2 machines in us-central1, and of one GPU.
 */
export const UNIT_PRICES: Readonly<Record<number, { readonly cpu: bigint; readonly gib: bigint; readonly gpu: bigint }>> = {
  1: { cpu: 31_611n, gib: 4_237n, gpu: 950_000n },
};
export const UNIT_PRICES_NOW = 1;

/**
 * Who has what part of one node-minute: the cost of each step (one price, one capacity) is split over CPU, memory and accelerators by what
 * they are worth, each part over pods by what they asked for or used, whichever is more, and over what nobody has. All parts sum to
 * the cost of the minute.
 */
export function attributeNode({ minute, knownUntil, node, pods }: NodeMinute): NodeShares {
  const idle: StateCost[] = [];
  const shares = new Map<Id, StateCost[]>(pods.map(({ podId }) => [podId, []]));
  invariant(shares.size === pods.length, 'attributeNode: a pod is named twice');
  for (const step of stepsOf(node, minute, Math.min(minute + MINUTE_MS, knownUntil))) {
    const split = splitStep(step, pods);
    idle.push({ ...split.idle, priceId: step.price?.priceId ?? null, state: '', ms: step.to - step.from });
    for (const pod of pods) shares.get(pod.podId)?.push(...statesOf(pod, step, split.pods.get(pod.podId) ?? ZERO));
  }
  return { idle: merged(idle), pods: new Map([...shares].map(([id, own]) => [id, merged(own)])) };
}

/** What the whole minute of the node costs, straight from its life and its prices, without pods. */
export function costOfNodeMinute(node: NodeLife, minute: Instant): PicoUsd {
  return stepsOf(node, minute, minute + MINUTE_MS).reduce((all, step) => all + costOf(step).effective, 0n);
}

/** A stretch under one price and with one capacity. */
interface Step {
  readonly from: Instant;
  readonly to: Instant;
  readonly shape: NodeShape;
  readonly price: RatedStep | null;
}

function stepsOf({ capacityFrom, capacityUntil, shapes }: NodeLife, from: Instant, to: Instant): Step[] {
  const start = Math.max(from, capacityFrom);
  const end = Math.min(to, capacityUntil ?? to);
  return shapes.flatMap((shape, index) => {
    const stretch = {
      from: index === 0 ? start : Math.max(start, shape.at),
      to: Math.min(end, shapes[index + 1]?.at ?? end),
    };
    if (stretch.from >= stretch.to) return [];
    return ratedParts(stretch, shape.steps).map((part) => ({ from: part.from, to: part.to, shape, price: part.step }));
  });
}

function costOf({ from, to, price }: Step): Amounts {
  if (price === null) return ZERO;
  return {
    list: costOfInterval(price.list, from, to),
    contracted: costOfInterval(price.contracted, from, to),
    effective: costOfInterval(price.effective, from, to),
  };
}

const PARTS = ['cpu', 'gpu', 'memory'] as const;
const QUANTITY = { cpu: 'cpuMilli', gpu: 'gpuMilli', memory: 'memoryMib' } as const;

/** Weights as whole numbers: thousandths of a CPU and of an accelerator against 1/1024 of a GiB. */
function worthOf(capacity: Quantities, version: number): { readonly key: string; readonly weight: bigint }[] {
  const prices = UNIT_PRICES[version];
  invariant(prices, `attributeNode: no unit prices ${version}`);
  return [
    { key: 'cpu', weight: prices.cpu * 1_024n * BigInt(capacity.cpuMilli) },
    { key: 'gpu', weight: prices.gpu * 1_024n * BigInt(capacity.gpuMilli) },
    { key: 'memory', weight: prices.gib * 1_000n * BigInt(capacity.memoryMib) },
  ];
}

/** The key of what nobody has; it comes before every uid. */
const IDLE = '';

function splitStep(step: Step, pods: readonly PodOnNode[]): { readonly idle: Amounts; readonly pods: ReadonlyMap<Id, Amounts> } {
  const cost = costOf(step);
  const weights = weightsOf(step, pods);
  const [list, contracted, effective] = [cost.list, cost.contracted, cost.effective].map((all) =>
    shareOut(all, step.shape, weights),
  );
  const of = (key: string): Amounts => ({
    list: list?.get(key) ?? 0n,
    contracted: contracted?.get(key) ?? 0n,
    effective: effective?.get(key) ?? 0n,
  });
  return { idle: of(IDLE), pods: new Map(pods.map(({ podId }) => [podId, of(podId)])) };
}

type Weights = ReadonlyMap<string, readonly { readonly key: string; readonly weight: bigint }[]>;

/** An amount split over CPU, memory and accelerators, and each part over who has it. */
function shareOut(amount: bigint, { capacity, unitPrices }: NodeShape, weights: Weights): Map<string, bigint> {
  const parts = splitByLargestRemainder(amount, worthOf(capacity, unitPrices));
  // A node that says nothing of its size belongs to nobody.
  const shares = new Map<string, bigint>(parts.size === 0 ? [[IDLE, amount]] : []);
  for (const [part, whole] of parts) {
    for (const [key, share] of splitByLargestRemainder(whole, weights.get(part) ?? []))
      shares.set(key, (shares.get(key) ?? 0n) + share);
  }
  return shares;
}

/**
 * What pods cost per hour at an instant: the same split of the whole price, for which `pods` say what they ask for then. Use is only known
 * afterwards. Empty without a price.
 */
export function ratesOnNode(node: NodeLife, pods: readonly PodOnNode[], at: Instant): Map<Id, PicoUsdPerHour> {
  const [step] = stepsOf(node, at, at + 1);
  if (!step?.price) return new Map();
  const shares = shareOut(step.price.effective, step.shape, weightsOf(step, pods));
  return new Map(pods.map(({ podId }) => [podId, shares.get(podId) ?? 0n]));
}

const weightsOf = (step: Step, pods: readonly PodOnNode[]): Weights =>
  new Map(PARTS.map((part) => [part, weightsIn(part, step, pods)]));

function weightsIn(part: (typeof PARTS)[number], step: Step, pods: readonly PodOnNode[]) {
  const quantity = QUANTITY[part];
  const held = pods.map(({ podId, pieces, use }) => {
    const used = quantity === 'gpuMilli' ? 0 : (use[quantity] ?? 0);
    return {
      key: podId,
      weight: sumOf(pieces, (piece) => msWithin(piece, step) * BigInt(Math.max(piece.requests[quantity], used))),
    };
  });
  const free = BigInt(step.shape.capacity[quantity]) * BigInt(step.to - step.from) - sumOf(held, ({ weight }) => weight);
  return [{ key: IDLE, weight: free > 0n ? free : 0n }, ...held];
}

/** The pod's sum by the time it was in each state; among equal remainders in the order draining, serving, starting, unready. */
function statesOf({ pieces }: PodOnNode, step: Step, sum: Amounts): StateCost[] {
  const ms = new Map<LineState, bigint>();
  for (const piece of pieces) {
    const within = msWithin(piece, step);
    if (within > 0n) ms.set(piece.state, (ms.get(piece.state) ?? 0n) + within);
  }
  const weights = [...ms].map(([key, weight]) => ({ key, weight }));
  const [list, contracted, effective] = [sum.list, sum.contracted, sum.effective].map((all) =>
    splitByLargestRemainder(all, weights),
  );
  return weights.map(({ key, weight }) => ({
    priceId: step.price?.priceId ?? null,
    state: key,
    ms: Number(weight),
    list: list?.get(key) ?? 0n,
    contracted: contracted?.get(key) ?? 0n,
    effective: effective?.get(key) ?? 0n,
  }));
}

/** One share per price row and state: a price that comes back is one price again. */
function merged(shares: readonly StateCost[]): StateCost[] {
  const found = new Map<string, StateCost>();
  for (const share of shares) {
    const key = `${share.priceId ?? ''} ${share.state}`;
    const before = found.get(key);
    found.set(key, before ? { ...share, ...addAmounts(before, share), ms: before.ms + share.ms } : share);
  }
  return [...found.values()].filter((share) => !isNothing(share));
}

const msWithin = (piece: { readonly from: Instant; readonly to: Instant }, step: Step): bigint =>
  BigInt(Math.max(0, Math.min(piece.to, step.to) - Math.max(piece.from, step.from)));

const sumOf = <T>(items: readonly T[], value: (item: T) => bigint): bigint => items.reduce((all, item) => all + value(item), 0n);
