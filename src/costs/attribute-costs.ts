import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import { costOfInterval, splitByLargestRemainder, type PicoUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import type { UsageKind } from '../traffic/router-contract/usage-report.ts';
import { piecesOf, type Piece, type ReplicaLife, type ReplicaState } from './replica-life.ts';

/** The three prices of one row, or the three amounts that they lead to. */
export interface Amounts<T = PicoUsd> {
  readonly list: T;
  readonly contracted: T;
  readonly effective: T;
}

/** A stretch of time under one believed price row; a stretch without a step is unpriced. */
export interface RatedStep extends Amounts<PicoUsdPerHour> {
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

/** What one line says before it has a number: `priceId` null = unpriced, `group` null = the owner's (idle where serving). */
export interface LineShare extends Amounts {
  readonly priceId: Id | null;
  readonly state: ReplicaState;
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
}

/** The bytes that break a tie: what SQL gets by ordering the four columns with `COLLATE "C"`. */
export const tieKey = (group: UsageGroup | null): string =>
  group === null ? '' : `${group.callerTeamId}\0${group.caller}\0${group.kind}\0${group.experiment}`;

/**
 * The lines of one replica-minute, exactly as the ledger defines them: every state's cost to the owner, the serving cost of each
 * price split by largest remainder over idle capacity and busy time. The lines sum to the cost of the minute.
 */
export function attributeMinute(input: ReplicaMinute): LineShare[] {
  invariant(input.concurrency >= 1, `attributeMinute: concurrency ${input.concurrency}`);
  const pieces = piecesOf(input.life, input.minute, Math.min(input.minute + MINUTE_MS, input.knownUntil));
  const servingMs = sumMs(pieces.filter((piece) => piece.state === 'serving'));
  const weights = weightsOf(input, servingMs);
  return [...costsByPrice(pieces, input.steps)].flatMap(([, cost]) =>
    cost.state === 'serving' ? splitServing(cost, weights) : [{ ...cost, group: null }],
  );
}

interface StateCost extends Amounts {
  readonly priceId: Id | null;
  readonly state: ReplicaState;
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
    for (const { step, from, to } of ratedParts(piece, steps)) {
      const key = `${step?.priceId ?? ''} ${piece.state}`;
      const before = costs.get(key);
      const cost = (rate: PicoUsdPerHour | undefined): PicoUsd => (rate === undefined ? 0n : costOfInterval(rate, from, to));
      costs.set(key, {
        priceId: step?.priceId ?? null,
        state: piece.state,
        ms: (before?.ms ?? 0) + to - from,
        list: (before?.list ?? 0n) + cost(step?.list),
        contracted: (before?.contracted ?? 0n) + cost(step?.contracted),
        effective: (before?.effective ?? 0n) + cost(step?.effective),
      });
    }
  }
  return costs;
}

/** The piece cut at price steps; what no step covers comes without one. */
function ratedParts(piece: Piece, steps: readonly RatedStep[]): { step: RatedStep | null; from: Instant; to: Instant }[] {
  const parts: { step: RatedStep | null; from: Instant; to: Instant }[] = [];
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
    .filter((line) => line.ms !== 0 || line.list !== 0n || line.contracted !== 0n || line.effective !== 0n);
}

const sumMs = (pieces: readonly Piece[]): number => pieces.reduce((all, { from, to }) => all + to - from, 0);
