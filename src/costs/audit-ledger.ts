import type { Id } from '../kernel/id.ts';
import { HOUR_MS, hourOf, MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { PicoUsd } from '../kernel/money.ts';
import type { CostedReplica } from './cost-store.port.ts';
import { costOfMinute, minutesBetween, type Violation } from './settle.ts';

/** What the ledger says of one hour; everything is of replicas whose minutes are settled. */
export interface AuditedHour {
  readonly from: Instant;
  readonly replicas: readonly (CostedReplica & { readonly closedUntil: Instant })[];
  /** The lines of each minute by replica: their sum, and the least sum of one group. */
  readonly minutes: ReadonlyMap<Id, ReadonlyMap<Instant, { readonly sum: PicoUsd; readonly least: PicoUsd }>>;
  /** The sums of the hour by replica. */
  readonly hours: ReadonlyMap<Id, PicoUsd>;
}

export interface ReplicaViolation extends Violation {
  readonly replica: CostedReplica;
}

/** Where the ledger of an hour breaks one of its promises; nothing unless somebody meddled with it or the code is wrong. */
export function auditHour({ from, replicas, minutes, hours }: AuditedHour): ReplicaViolation[] {
  return replicas.flatMap((replica) => {
    const lines = minutes.get(replica.replicaId);
    const found = (minute: Instant): PicoUsd => lines?.get(minute)?.sum ?? 0n;
    const closed = minutesBetween(from, Math.min(from + HOUR_MS, replica.closedUntil));
    const violations = closed.flatMap((minute): Violation[] => {
      const expected = costOfMinute(replica, minute);
      const least = lines?.get(minute)?.least ?? 0n;
      if (found(minute) !== expected) return [{ promise: 'minute', minute, expected, found: found(minute) }];
      return least < 0n ? [{ promise: 'group', minute, expected: 0n, found: least }] : [];
    });
    const expected = minutesBetween(from, from + HOUR_MS).reduce((sum, minute) => sum + found(minute), 0n);
    const hour = hours.get(replica.replicaId) ?? 0n;
    if (hour !== expected) violations.push({ promise: 'hour', minute: from, expected, found: hour });
    return violations.map((violation) => ({ ...violation, replica }));
  });
}

/** Older hours looked at in one pass. Higher costs more at once, lower takes longer to come round. */
const OLDER_HOURS = 6;

/** The hours of pass `n`: this one and the one before, and in turn a few of those that can still be restated. */
export function hoursToAudit(n: number, now: Instant, keepMs: number): Instant[] {
  const current = hourOf(now);
  const older = Math.floor(keepMs / HOUR_MS) - 2;
  const turn = Array.from({ length: OLDER_HOURS }, (_, i) => current - (2 + ((n * OLDER_HOURS + i) % older)) * HOUR_MS);
  return [current, current - HOUR_MS, ...turn];
}

/** Enough to name a violation: it is told once. */
export const nameOf = ({ replica, promise, minute }: ReplicaViolation): string =>
  `${replica.replicaId} ${promise} ${Math.floor(minute / MINUTE_MS)}`;
