import { record } from '../events/event-log.ts';
import { DAY_MS } from '../kernel/instant.ts';
import type { Scope } from '../kernel/transaction.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import { auditHour, auditNodes, hoursToAudit, nameOf, type NodeViolation, type ReplicaViolation } from './audit-ledger.ts';
import type { CostsReconcilerDeps } from './costs.reconciler.ts';
import type { LedgerAuditStore } from './ledger-audit-store.port.ts';
import { invariantViolated, nodeInvariantViolated } from './ledger.events.ts';
import { KEEP_INPUTS_MS } from './plan-closing.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'ledger audit' };
/** Violations told in one pass. Higher floods the log when a table was meddled with, lower tells the extent late. */
const MAX_TOLD_PER_PASS = 20;
/** Violations remembered as told. Higher: memory in a ledger that was meddled with; lower: old ones are told again. */
const MAX_REMEMBERED = 10_000;
/** A day at the edge is left out: its inputs may be forgotten while they are read. */
const KEPT_MS = KEEP_INPUTS_MS - DAY_MS;

export interface LedgerAuditDeps extends Omit<CostsReconcilerDeps, 'store'> {
  readonly audit: LedgerAuditStore;
}

/** Reads closed minutes again and compares them with what they should be. In a steady state it writes nothing. */
export class LedgerAudit {
  readonly #deps: LedgerAuditDeps;
  readonly #told = new Set<string>();
  #passes = 0;

  constructor(deps: LedgerAuditDeps) {
    this.#deps = deps;
  }

  async pass(signal: AbortSignal): Promise<void> {
    const { lease, clock } = this.#deps;
    if (!lease()) return;
    for (const hour of hoursToAudit(this.#passes, clock.now(), KEPT_MS)) {
      signal.throwIfAborted();
      await this.#look(hour);
    }
    this.#passes += 1;
  }

  async #look(hour: number): Promise<void> {
    const { database, audit, metrics } = this.#deps;
    const found = [
      ...auditHour(await database.read(SCOPE, (tx) => audit.hour(tx, hour))),
      ...auditNodes(await database.read(SCOPE, (tx) => audit.nodes(tx, hour))),
    ];
    const news = found.filter((violation) => !this.#told.has(nameOf(violation))).slice(0, MAX_TOLD_PER_PASS);
    if (news.length === 0) return;
    await this.#tell(news);
    metrics.violated(news.length);
    if (this.#told.size + news.length > MAX_REMEMBERED) this.#told.clear();
    for (const violation of news) this.#told.add(nameOf(violation));
  }

  async #tell(violations: readonly (ReplicaViolation | NodeViolation)[]): Promise<void> {
    const { database, clock, logger, lease } = this.#deps;
    const held = lease();
    if (!held) return;
    await fencedWrite(database, { scope: SCOPE, lease: held }, (tx) => {
      for (const violation of violations) {
        const isNode = 'node' in violation;
        const at = clock.now();
        record(
          tx,
          isNode ? nodeInvariantViolated(violation.node, violation, at) : invariantViolated(violation.replica, violation, at),
        );
      }
    });
    for (const violation of violations) {
      const { promise, minute, expected, found } = violation;
      const who = 'node' in violation ? { node: violation.node.name } : { replica: violation.replica.replicaId };
      const said = { ...who, promise, minute, expected: String(expected), found: String(found) };
      logger.error(said, 'the ledger breaks a promise');
    }
  }
}
