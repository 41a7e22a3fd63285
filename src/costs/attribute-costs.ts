import type { ReplicaState } from '../deployments/cluster.port.ts';
import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import { costOfInterval, splitByLargestRemainder, type PicoUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import type { UsageKind } from '../traffic/router-contract/usage-report.ts';
import { piecesOf, type Piece, type ReplicaLife } from './replica-life.ts';

/** The three prices of one row in pico-dollars per hour, or the three amounts in pico-dollars that they lead to. */
export interface Amounts {
  readonly list: PicoUsd;
  readonly contracted: PicoUsd;
  readonly effective: PicoUsd;
}

/** A stretch of time under one believed price row; a stretch without a step is unpriced. */
export interface RatedStep extends Amounts {
  readonly from: Instant;
  readonly to: Instant;
  readonly priceId: Id;
}

/** Whose usage it is. */
export interface UsageGroup {
  readonly callerTeamId: Id;
  readonly caller: Id;
  readonly kind: UsageKind;
  readonly experiment: string;
}

export interface BusyGroup extends UsageGroup {
  readonly busyUs: number;
}

/** The state that a line is of; empty for what is no replica's. */
export type LineState = ReplicaState | '';

/** What one line says before it has a number: `priceId` null = unpriced, `group` null = the owner's (idle where serving). */
export interface LineShare extends Amounts {
  readonly priceId: Id | null;
  readonly state: LineState;
  readonly group: UsageGroup | null;
  /** Milliseconds of capacity; all on the owner's line, so that they sum to the replica's time. */
  readonly ms: number;
}

export interface ReplicaMinute {
  readonly minute: Instant;
  /** Nothing is known after this instant: the end of the minute when it is closed, now while it is open. */
  readonly knownUntil: Instant;
  readonly life: ReplicaLife;
  readonly steps: readonly RatedStep[];
  readonly usage: readonly BusyGroup[];
  /** `revision.concurrency`, at least 1. */
  readonly concurrency: number;
  /** When it was on known nodes, which pay for that time; what else there is of it is unpriced then. None: `steps` price all of it. */
  readonly places?: readonly Stretch[];
}

export interface Stretch {
  readonly from: Instant;
  readonly to: Instant;
}

/** The bytes that break a tie: what SQL gets by ordering the four columns with `COLLATE "C"`. */
export const tieKey = (group: UsageGroup | null): string =>
  group === null ? '' : `${group.callerTeamId}\0${group.caller}\0${group.kind}\0${group.experiment}`;

/**
 * The lines of one replica-minute, exactly as the ledger defines them: every state's cost to the owner, the serving cost of each
 * price split by largest remainder over idle capacity and busy time. The lines sum to the cost of the minute.
 */
export function attributeMinute(input: ReplicaMinute): LineShare[] {
  const pieces = piecesIn(input);
  const places = input.places ?? [];
  if (places.length === 0) return splitCosts(input, [...costsByPrice(pieces, input.steps).values()]);
  const elsewhere = pieces.flatMap((piece) => outside(piece, places));
  return splitCosts(input, [...costsByPrice(elsewhere, []).values()]);
}

/**
 * The lines of what a replica-minute cost by price and state, from wherever that comes: the serving part of each price is split by the
 * same weights, those of the whole minute.
 */
export function splitCosts(input: ReplicaMinute, costs: readonly StateCost[]): LineShare[] {
  invariant(input.concurrency >= 1, `splitCosts: concurrency ${input.concurrency}`);
  const servingMs = sumMs(piecesIn(input).filter((piece) => piece.state === 'serving'));
  const weights = weightsOf(input, servingMs);
  return costs.flatMap((cost) => (cost.state === 'serving' ? splitServing(cost, weights) : [{ ...cost, group: null }]));
}

const piecesIn = ({ life, minute, knownUntil }: ReplicaMinute): Piece[] =>
  piecesOf(life, minute, Math.min(minute + MINUTE_MS, knownUntil));

/** What is left of a stretch without these, which may be in any order and overlap. */
export function outside<T extends Stretch>(whole: T, taken: readonly Stretch[]): T[] {
  const parts: T[] = [];
  let at = whole.from;
  for (const { from, to } of [...taken].sort((a, b) => a.from - b.from)) {
    if (from > at && at < whole.to) parts.push({ ...whole, from: at, to: Math.min(from, whole.to) });
    at = Math.max(at, to);
  }
  return at < whole.to ? [...parts, { ...whole, from: at }] : parts;
}

/** What a replica cost under one price row in one state. */
export interface StateCost extends Amounts {
  readonly priceId: Id | null;
  readonly state: LineState;
  readonly ms: number;
}

interface Weight {
  readonly key: string;
  readonly weight: bigint;
  readonly group: UsageGroup | null;
}

function weightsOf(input: ReplicaMinute, servingMs: number): Weight[] {
  const busy = new Map<string, Weight>();
  for (const { callerTeamId, caller, kind, experiment, busyUs } of input.usage) {
    const group = { callerTeamId, caller, kind, experiment };
    const key = tieKey(group);
    busy.set(key, { key, group, weight: (busy.get(key)?.weight ?? 0n) + BigInt(busyUs) });
  }
  const total = [...busy.values()].reduce((all, part) => all + part.weight, 0n);
  const idle = 1000n * BigInt(input.concurrency) * BigInt(servingMs) - total;
  return [{ key: '', group: null, weight: idle > 0n ? idle : 0n }, ...busy.values()];
}

/** Cost and time by (price, state); a price that comes back after an override is one price again. */
function costsByPrice(pieces: readonly Piece[], steps: readonly RatedStep[]): Map<string, StateCost> {
  const costs = new Map<string, StateCost>();
  for (const piece of pieces) {
    for (const part of ratedParts(piece, steps)) {
      const cost = costOfPart(part, piece.state);
      const key = `${cost.priceId ?? ''} ${cost.state}`;
      const before = costs.get(key);
      costs.set(key, before ? { ...cost, ...addAmounts(before, cost), ms: before.ms + cost.ms } : cost);
    }
  }
  return costs;
}

function costOfPart({ step, from, to }: RatedPart, state: ReplicaState): StateCost {
  const cost = (rate: PicoUsdPerHour): PicoUsd => costOfInterval(rate, from, to);
  const amounts =
    step === null ? ZERO : { list: cost(step.list), contracted: cost(step.contracted), effective: cost(step.effective) };
  return { ...amounts, priceId: step?.priceId ?? null, state, ms: to - from };
}

export const ZERO: Amounts = { list: 0n, contracted: 0n, effective: 0n };

export const addAmounts = (a: Amounts, b: Amounts): Amounts => ({
  list: a.list + b.list,
  contracted: a.contracted + b.contracted,
  effective: a.effective + b.effective,
});

export const isNothing = (line: Amounts & { readonly ms: number }): boolean =>
  line.ms === 0 && line.list === 0n && line.contracted === 0n && line.effective === 0n;

export interface RatedPart {
  readonly step: RatedStep | null;
  readonly from: Instant;
  readonly to: Instant;
}

/** The stretch cut at price steps; what no step covers comes without one. */
export function ratedParts(piece: Stretch, steps: readonly RatedStep[]): RatedPart[] {
  const parts: RatedPart[] = [];
  let at = piece.from;
  for (const step of [...steps].sort((a, b) => a.from - b.from)) {
    const from = Math.max(at, step.from);
    const to = Math.min(piece.to, step.to);
    if (from >= to) continue;
    if (from > at) parts.push({ step: null, from: at, to: from });
    parts.push({ step, from, to });
    at = to;
  }
  if (at < piece.to) parts.push({ step: null, from: at, to: piece.to });
  return parts;
}

function splitServing(cost: StateCost, weights: readonly Weight[]): LineShare[] {
  const list = splitByLargestRemainder(cost.list, weights);
  const contracted = splitByLargestRemainder(cost.contracted, weights);
  const effective = splitByLargestRemainder(cost.effective, weights);
  return weights
    .map(({ key, group }) => ({
      priceId: cost.priceId,
      state: cost.state,
      group,
      ms: group === null ? cost.ms : 0,
      list: list.get(key) ?? 0n,
      contracted: contracted.get(key) ?? 0n,
      effective: effective.get(key) ?? 0n,
    }))
    .filter((line) => !isNothing(line));
}

const sumMs = (pieces: readonly Piece[]): number => pieces.reduce((all, { from, to }) => all + to - from, 0);
