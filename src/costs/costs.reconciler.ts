import { record } from '../events/event-log.ts';
import type { Clock } from '../kernel/clock.ts';
import { DAY_MS, MINUTE_MS, minuteOf, type Instant } from '../kernel/instant.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import type { Lease } from '../persistence/lease.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { CostedReplica, CostStore, MeteredReplica } from './cost-store.port.ts';
import type { CostMetrics } from './costs.metrics.ts';
import { resourceOfReplica } from './ledger-line.ts';
import { invariantViolated } from './ledger.events.ts';
import {
  CLOSE_ANYWAY_MS,
  firstChange,
  KEEP_INPUTS_MS,
  MAX_RESTATED_PER_RUN,
  planClosing,
  type ClosingInput,
  type ReplicaTurn,
} from './plan-closing.ts';
import { minutesBetween, settle } from './settle.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'costs' };
/** Rows of old usage forgotten in one run. Higher holds locks for long, lower lets the table grow after a busy month. */
const MAX_PRUNED_PER_RUN = 10_000;
/** Inputs outlive the last minute that may be restated. Higher keeps more, lower could restate a minute whose usage is gone. */
const SLACK_MS = DAY_MS;

export interface CostsReconcilerDeps {
  readonly database: Database;
  readonly store: CostStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CostMetrics;
  /** The lease that fences every write; null while it is not held: then nothing is done. */
  readonly lease: () => Lease | null;
}

/** Closes minutes and restates closed ones, one replica per transaction, so that one that cannot be closed holds up no other. */
export class CostsReconciler implements Reconciliation<ClosingInput, ReplicaTurn[]> {
  readonly #deps: CostsReconcilerDeps;

  constructor(deps: CostsReconcilerDeps) {
    this.#deps = deps;
  }

  prepare(): Promise<ClosingInput> {
    const { database, store, clock } = this.#deps;
    const now = clock.now();
    return database.read(SCOPE, async (tx) => ({
      replicas: await store.openReplicas(tx, now - KEEP_INPUTS_MS),
      acknowledged: await store.acknowledgedThrough(tx, now - CLOSE_ANYWAY_MS),
      queued: await store.queuedRestatements(tx, MAX_RESTATED_PER_RUN),
    }));
  }

  plan(input: ClosingInput, now: Instant): ReplicaTurn[] {
    return planClosing(input, now);
  }

  async execute(turns: readonly ReplicaTurn[], signal: AbortSignal): Promise<void> {
    const lease = this.#deps.lease();
    if (!lease) return;
    for (const turn of turns) {
      signal.throwIfAborted();
      await fencedWrite(this.#deps.database, { scope: SCOPE, lease }, (tx) => this.#take(tx, turn));
    }
  }

  /** Usage that is too old to be attributed is forgotten; its quantities stay in the hourly sums. Writes nothing where there is none. */
  async prune(): Promise<void> {
    const lease = this.#deps.lease();
    if (!lease) return;
    const { database, store, clock } = this.#deps;
    const oldest = minuteOf(clock.now() - KEEP_INPUTS_MS - SLACK_MS);
    await fencedWrite(database, { scope: SCOPE, lease }, (tx) => store.pruneUsage(tx, oldest, MAX_PRUNED_PER_RUN));
  }

  async #take(tx: Transaction, turn: ReplicaTurn): Promise<void> {
    const { store, clock } = this.#deps;
    const metered = await store.lockReplica(tx, turn.replicaId);
    const closedUntil = Math.max(metered.closedUntil, turn.closeUntil);
    const minutes = [...new Set([...turn.restate, ...minutesBetween(metered.closedUntil, closedUntil)])].sort((a, b) => a - b);
    const range = { from: minutes[0] ?? closedUntil, to: (minutes.at(-1) ?? closedUntil) + MINUTE_MS };
    const [replica] = await store.costedReplicas(tx, [turn.replicaId], range);
    if (!replica) return;
    await this.#queueChanged(tx, replica, metered);
    await this.#settle(tx, replica, minutes);
    await store.dropRestatements(tx, turn.replicaId, turn.restate);
    const end = replica.life.capacityUntil;
    const next = { replicaId: turn.replicaId, closedUntil, ended: end !== null && closedUntil >= end, seen: replica.seen };
    if (!isSame(metered, next)) await store.saveReplica(tx, next);
    this.#deps.logger.debug(
      { replica: turn.replicaId, minutes: minutes.length, closedUntil, at: clock.now() },
      'minutes settled',
    );
  }

  /** What closed minutes were computed with has changed: they are stated anew, those whose inputs are still kept. */
  async #queueChanged(tx: Transaction, replica: CostedReplica, metered: MeteredReplica): Promise<void> {
    const from = firstChange(replica, metered.seen);
    if (from === null) return;
    const oldest = this.#deps.clock.now() - KEEP_INPUTS_MS + MINUTE_MS;
    await this.#deps.store.queueNodesSince(tx, replica.replicaId, Math.max(from, oldest));
    const minutes = minutesBetween(Math.max(from, oldest), metered.closedUntil);
    await this.#deps.store.queueRestatement(
      tx,
      minutes.map((minute) => ({ replicaId: replica.replicaId, minute })),
    );
  }

  async #settle(tx: Transaction, replica: CostedReplica, minutes: readonly Instant[]): Promise<void> {
    const [first, last] = [minutes[0], minutes.at(-1)];
    if (first === undefined || last === undefined) return;
    const { store, clock, metrics, logger } = this.#deps;
    const usage = await store.usageOf(tx, [replica.replicaId], { from: first, to: last + MINUTE_MS });
    const booked = await store.bookedLines(tx, replica.replicaId, minutes);
    const { lines, violations } = settle({
      replica,
      minutes,
      usage: usage.get(replica.replicaId) ?? new Map<Instant, never[]>(),
      booked,
    });
    const now = clock.now();
    const resource = resourceOfReplica(replica, null);
    await store.appendLines(
      tx,
      lines.map((line) => ({ ...resource, ...line })),
      now,
    );
    for (const violation of violations) {
      logger.error(
        {
          replica: replica.replicaId,
          minute: violation.minute,
          expected: String(violation.expected),
          found: String(violation.found),
        },
        'the lines of a minute do not sum to its cost',
      );
      record(tx, invariantViolated(replica, violation, now));
    }
    metrics.settled({ minutes: minutes.length, lines: lines.length, violations: violations.length });
  }
}

const isSame = (a: MeteredReplica, b: MeteredReplica): boolean =>
  a.closedUntil === b.closedUntil &&
  a.ended === b.ended &&
  a.seen.transitions === b.seen.transitions &&
  a.seen.capacityUntil === b.seen.capacityUntil &&
  a.seen.prices === b.seen.prices;
