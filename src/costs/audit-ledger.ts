import type { Id } from '../kernel/id.ts';
import { HOUR_MS, hourOf, MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { PicoUsd } from '../kernel/money.ts';
import { costOfNodeMinute } from './attribute-node.ts';
import type { CostedReplica } from './cost-store.port.ts';
import type { CostedNode } from './node-cost-store.port.ts';
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

/** The same of shared nodes: the lines of a node are those of everything on it. */
export interface AuditedNodes extends Omit<AuditedHour, 'replicas'> {
  readonly nodes: readonly (CostedNode & { readonly closedUntil: Instant })[];
}

export interface NodeViolation extends Violation {
  readonly node: CostedNode;
}

/** Where the ledger of an hour breaks one of its promises; nothing unless somebody meddled with it or the code is wrong. */
export const auditHour = (hour: AuditedHour): ReplicaViolation[] =>
  hour.replicas.flatMap((replica) =>
    auditOne(hour, {
      id: replica.replicaId,
      closedUntil: replica.closedUntil,
      costOf: (minute) => costOfMinute(replica, minute),
    }).map((violation) => ({ ...violation, replica })),
  );

export const auditNodes = (hour: AuditedNodes): NodeViolation[] =>
  hour.nodes.flatMap((node) =>
    auditOne(hour, { id: node.nodeId, closedUntil: node.closedUntil, costOf: (minute) => costOfNodeMinute(node, minute) }).map(
      (violation) => ({ ...violation, node }),
    ),
  );

interface Audited {
  readonly id: Id;
  readonly closedUntil: Instant;
  readonly costOf: (minute: Instant) => PicoUsd;
}

function auditOne({ from, minutes, hours }: Omit<AuditedHour, 'replicas'>, { id, closedUntil, costOf }: Audited): Violation[] {
  const lines = minutes.get(id);
  const found = (minute: Instant): PicoUsd => lines?.get(minute)?.sum ?? 0n;
  const violations = minutesBetween(from, Math.min(from + HOUR_MS, closedUntil)).flatMap((minute): Violation[] => {
    const expected = costOf(minute);
    const least = lines?.get(minute)?.least ?? 0n;
    if (found(minute) !== expected) return [{ promise: 'minute', minute, expected, found: found(minute) }];
    return least < 0n ? [{ promise: 'group', minute, expected: 0n, found: least }] : [];
  });
  const expected = minutesBetween(from, from + HOUR_MS).reduce((sum, minute) => sum + found(minute), 0n);
  const hour = hours.get(id) ?? 0n;
  return hour === expected ? violations : [...violations, { promise: 'hour', minute: from, expected, found: hour }];
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
export const nameOf = (violation: ReplicaViolation | NodeViolation): string =>
  `${'node' in violation ? violation.node.nodeId : violation.replica.replicaId} ${violation.promise} ${Math.floor(violation.minute / MINUTE_MS)}`;
