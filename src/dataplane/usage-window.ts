import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { UsageRow } from '../traffic/router-contract/usage-report.ts';

const MINUTE_US = MINUTE_MS * 1000;

/** Who an attempt is booked to, and where it runs. */
export interface UsageGroup {
  readonly replicaId: Id;
  readonly callerTeamId: Id;
  readonly caller: Id;
}

/** One attempt between hand-over and its last byte. */
export interface OpenAttempt {
  readonly group: UsageGroup;
  readonly startedUs: number;
  /** Busy time up to here is booked. */
  bookedUs: number;
}

export interface AttemptEnd {
  readonly endedUs: number;
  /** True on the attempt that answered the caller. */
  readonly answering: boolean;
  readonly error: boolean;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly stamp: bigint;
}

interface Sums {
  busyUs: number;
  attempts: number;
  requests: number;
  errors: number;
  bytesIn: number;
  bytesOut: number;
  stamp: bigint;
}

interface Row extends Sums {
  readonly group: UsageGroup;
  readonly minute: Instant;
}

/** Adds up usage per replica, minute and group until it is taken; every attempt is cut at the minutes. */
export class UsageWindow {
  #rows = new Map<string, Row>();
  readonly #open = new Set<OpenAttempt>();

  begin(group: UsageGroup, startedUs: number): OpenAttempt {
    const attempt = { group, startedUs, bookedUs: startedUs };
    this.#open.add(attempt);
    return attempt;
  }

  /** Counts are booked to the minute of the end. A second end of the same attempt is ignored. */
  end(attempt: OpenAttempt, end: AttemptEnd): void {
    if (!this.#open.delete(attempt)) return;
    this.#book(attempt, end.endedUs);
    const row = this.#row(attempt.group, minuteOfUs(Math.max(attempt.startedUs, end.endedUs - 1)));
    row.attempts += 1;
    if (end.answering) row.requests += 1;
    if (end.error) row.errors += 1;
    row.bytesIn += end.bytesIn;
    row.bytesOut += end.bytesOut;
    row.stamp += end.stamp;
  }

  /** Books open attempts up to `untilUs` (a minute's start), so that a long answer is billed while it runs. */
  cutOpen(untilUs: number): void {
    for (const attempt of this.#open) this.#book(attempt, untilUs);
  }

  /** Takes what has been added up; the window starts anew. */
  take(): UsageRow[] {
    const rows = [...this.#rows.values()].map(toUsageRow);
    this.#rows = new Map();
    return rows;
  }

  get openAttempts(): number {
    return this.#open.size;
  }

  #book(attempt: OpenAttempt, untilUs: number): void {
    let from = attempt.bookedUs;
    while (from < untilUs) {
      const minute = minuteOfUs(from);
      const to = Math.min(untilUs, minute * 1000 + MINUTE_US);
      this.#row(attempt.group, minute).busyUs += to - from;
      from = to;
    }
    attempt.bookedUs = Math.max(attempt.bookedUs, untilUs);
  }

  #row(group: UsageGroup, minute: Instant): Row {
    const key = `${group.replicaId}${minute}${group.callerTeamId}${group.caller}`;
    let row = this.#rows.get(key);
    if (!row) {
      row = { group, minute, busyUs: 0, attempts: 0, requests: 0, errors: 0, bytesIn: 0, bytesOut: 0, stamp: 0n };
      this.#rows.set(key, row);
    }
    return row;
  }
}

const minuteOfUs = (us: number): Instant => Math.floor(us / MINUTE_US) * MINUTE_MS;

const toUsageRow = ({ group, minute, stamp, ...sums }: Row): UsageRow => ({
  replicaId: group.replicaId,
  minute,
  callerTeamId: group.callerTeamId,
  caller: group.caller,
  kind: 'inference',
  experiment: '',
  ...sums,
  inputTokens: 0,
  outputTokens: 0,
  stampedPicoUsd: stamp.toString(),
});
