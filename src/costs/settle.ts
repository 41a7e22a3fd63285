import { MINUTE_MS, minuteOf, type Instant } from '../kernel/instant.ts';
import { costOfInterval, type PicoUsd } from '../kernel/money.ts';
import { attributeMinute, type BusyGroup } from './attribute-costs.ts';
import type { CostedReplica } from './cost-store.port.ts';
import { restate, type BookedLine, type NewLine } from './restate.ts';

export interface MinuteLine extends NewLine {
  readonly minute: Instant;
}

/** A promise of the ledger that does not hold at a minute: lines sum to the cost, none owes a group, an hour sums its minutes. */
export interface Violation {
  readonly promise: 'minute' | 'group' | 'hour';
  readonly minute: Instant;
  readonly expected: PicoUsd;
  readonly found: PicoUsd;
}

export interface SettleInput {
  readonly replica: CostedReplica;
  readonly minutes: readonly Instant[];
  readonly usage: ReadonlyMap<Instant, readonly BusyGroup[]>;
  readonly booked: ReadonlyMap<Instant, readonly BookedLine[]>;
}

/** The lines that are missing so that these minutes say what is known now, and the minutes that would still not add up. */
export function settle({ replica, minutes, usage, booked }: SettleInput): { lines: MinuteLine[]; violations: Violation[] } {
  const lines: MinuteLine[] = [];
  const violations: Violation[] = [];
  for (const minute of minutes) {
    const before = booked.get(minute) ?? [];
    const missing = restate(
      before,
      attributeMinute({
        minute,
        knownUntil: minute + MINUTE_MS,
        life: replica.life,
        steps: replica.steps,
        places: replica.places,
        usage: usage.get(minute) ?? [],
        concurrency: replica.concurrency,
      }),
    );
    lines.push(...missing.map((line) => ({ ...line, minute })));
    const found = [...before, ...missing].reduce((all, line) => all + line.effective, 0n);
    const expected = costOfMinute(replica, minute);
    if (found !== expected) violations.push({ promise: 'minute', minute, expected, found });
  }
  return { lines, violations };
}

/** What the whole minute of the replica costs, straight from its slot and its prices, without states and usage; on a node, the node does. */
export function costOfMinute(
  { life, steps, places }: Pick<CostedReplica, 'life' | 'steps' | 'places'>,
  minute: Instant,
): PicoUsd {
  if (places.length > 0) return 0n;
  const start = Math.max(minute, life.capacityFrom);
  const end = Math.min(minute + MINUTE_MS, life.capacityUntil ?? Infinity);
  return steps.reduce((all, step) => {
    const [from, to] = [Math.max(start, step.from), Math.min(end, step.to)];
    return from < to ? all + costOfInterval(step.effective, from, to) : all;
  }, 0n);
}

/** The starts of the minutes of `[from, to)`; both ends are starts of minutes or are rounded down. */
export const minutesBetween = (from: Instant, to: Instant): Instant[] =>
  Array.from({ length: Math.max(0, (minuteOf(to) - minuteOf(from)) / MINUTE_MS) }, (_, i) => minuteOf(from) + i * MINUTE_MS);
