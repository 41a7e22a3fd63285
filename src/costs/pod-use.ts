import type { Id } from '../kernel/id.ts';
import { HOUR_MS, MINUTE_MS, minuteOf, type Instant } from '../kernel/instant.ts';
import type { PodUse } from './attribute-node.ts';

/** A counter as it stood: µs of CPU since the pod's containers began; null = not told. */
export interface PodReading {
  readonly podId: Id;
  readonly at: Instant;
  readonly cpuUs: number | null;
}

/** What one reading adds to a minute of a pod. */
export interface UseOfMinute {
  readonly podId: Id;
  readonly minute: Instant;
  readonly cpuUs: number;
  /** How many ms of the minute `cpuUs` is of. */
  readonly cpuMs: number;
  /** Sum of the samples. */
  readonly memoryMib: number;
  readonly memorySamples: number;
}

/** A longer gap between two readings is not averaged over. Higher restates more after an outage, lower takes requests for what was used. */
const MAX_GAP_MS = HOUR_MS;
/** How far ahead a node's clock may be. Higher: one gone wrong silences its pods for long, lower: its readings are ignored. */
const MAX_AHEAD_MS = MINUTE_MS;

/**
 * What a reading adds, given the one before: the difference of the counters by time over the minutes between, one sample of memory.
 * Null: the reading is no news. A counter that fell back (a container began anew) says nothing about the time between.
 */
export function useBetween(
  before: PodReading | null,
  reading: PodReading & { readonly memoryMib: number | null },
  askedAt: Instant,
): UseOfMinute[] | null {
  if (reading.at > askedAt + MAX_AHEAD_MS || (before !== null && reading.at <= before.at)) return null;
  const { podId, at, memoryMib } = reading;
  const nothing = { podId, cpuUs: 0, cpuMs: 0, memoryMib: 0, memorySamples: 0 };
  const sample = memoryMib === null ? [] : [{ ...nothing, minute: minuteOf(at), memoryMib, memorySamples: 1 }];
  return [...cpuBetween(before, reading).map((part) => ({ ...nothing, ...part })), ...sample];
}

function cpuBetween(before: PodReading | null, { at, cpuUs }: PodReading) {
  if (before?.cpuUs == null || cpuUs === null || cpuUs < before.cpuUs || at - before.at > MAX_GAP_MS) return [];
  const [start, used, length] = [before.at, cpuUs - before.cpuUs, at - before.at];
  const usedBy = (instant: Instant): number => Number((BigInt(used) * BigInt(instant - start)) / BigInt(length));
  const parts: Pick<UseOfMinute, 'minute' | 'cpuUs' | 'cpuMs'>[] = [];
  for (let minute = minuteOf(start); minute < at; minute += MINUTE_MS) {
    const [from, to] = [Math.max(start, minute), Math.min(at, minute + MINUTE_MS)];
    parts.push({ minute, cpuUs: usedBy(to) - usedBy(from), cpuMs: to - from });
  }
  return parts;
}

/** The average use of a minute: µs of CPU by ms are thousandths of a CPU; the rounded-down mean of memory. */
export const averageUse = (use: Omit<UseOfMinute, 'podId' | 'minute'>): PodUse => ({
  cpuMilli: use.cpuMs === 0 ? null : Math.floor(use.cpuUs / use.cpuMs),
  memoryMib: use.memorySamples === 0 ? null : Math.floor(use.memoryMib / use.memorySamples),
});
