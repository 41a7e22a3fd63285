import type { Clock } from '../kernel/clock.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ReportAnswer, UsageReport, UsageRow } from '../traffic/router-contract/usage-report.ts';
import type { UsageSink } from '../traffic/usage-sink.port.ts';
import type { CostStore } from './cost-store.port.ts';
import type { CostMetrics } from './costs.metrics.ts';
import { count, MAX_ABOVE, wasCounted } from './high-water.ts';
import { KEEP_INPUTS_MS } from './plan-closing.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'metering' };

/** How far ahead a router's clock may be. Higher: one gone wrong books minutes that nobody has lived; lower: its usage is refused. */
const MAX_AHEAD_MS = 86_400_000;

export interface MeteringDeps {
  readonly database: Database;
  readonly store: CostStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CostMetrics;
}

/** Books what routers report: at least once delivered, once counted. */
export class MeteringService implements UsageSink {
  readonly #deps: MeteringDeps;

  constructor(deps: MeteringDeps) {
    this.#deps = deps;
  }

  /** Closing waits for this router's `through`, although it has reported nothing yet. */
  async joined(router: { readonly name: string }): Promise<void> {
    const { database, store, clock } = this.#deps;
    await database.write(SCOPE, (tx) => store.noteRouter(tx, router.name, clock.now()));
  }

  /**
   * One report in one transaction, answered after its commit. Usage of closed minutes is queued to restate them, usage older than 62
   * days counts as a quantity only, rows for replicas that do not exist and for minutes far ahead are refused. A source must carry its router's name.
   */
  async accept(report: UsageReport, router: { readonly name: string }): Promise<ReportAnswer> {
    if (!report.source.startsWith(`${router.name}/`))
      return { accepted: false, repeated: false, refusedRows: report.rows.length };
    const answer = await this.#deps.database.write(SCOPE, (tx) => this.#book(tx, report, router.name));
    this.#deps.metrics.reported(answer, report.rows.length);
    return answer;
  }

  async #book(tx: Transaction, report: UsageReport, router: string): Promise<ReportAnswer> {
    const { store, clock } = this.#deps;
    const now = clock.now();
    const source = await store.lockSource(tx, report.source, router, now);
    const repeated = wasCounted(source, report.sequence);
    if (!repeated && source.above.length >= MAX_ABOVE) return { accepted: false, repeated: false, refusedRows: 0 };
    // A repeat is answered alike, and what was refused then is refused now: replicas are never deleted.
    const refusedRows = await this.#addRows(tx, report.rows, { now, write: !repeated });
    const counted = count(source, report.sequence);
    // What a later report promises holds only once all earlier ones have arrived.
    const through = counted.above.length === 0 ? Math.max(source.through, Math.min(report.through, now)) : source.through;
    await store.saveSource(tx, { ...source, ...counted, through }, now);
    return { accepted: true, repeated, refusedRows };
  }

  async #addRows(tx: Transaction, rows: readonly UsageRow[], { now, write }: { now: number; write: boolean }): Promise<number> {
    if (rows.length === 0) return 0;
    const { store } = this.#deps;
    const ids = [...new Set(rows.map(({ replicaId }) => replicaId))].sort();
    const closed = await store.holdReplicas(tx, ids);
    // PostgreSQL's text holds no NUL, and the ledger's tie order needs one as a separator.
    const bookable = (row: UsageRow): boolean => row.minute <= now + MAX_AHEAD_MS && !row.experiment.includes('\0');
    const known = rows.filter((row) => closed.has(row.replicaId) && bookable(row));
    if (!write) return rows.length - known.length;
    const oldest = now - KEEP_INPUTS_MS;
    const attributable = known.filter(({ minute }) => minute >= oldest);
    await store.addUsage(tx, attributable, false);
    await store.addUsage(
      tx,
      known.filter(({ minute }) => minute < oldest),
      true,
    );
    await store.queueRestatement(
      tx,
      attributable.filter(({ replicaId, minute }) => minute < (closed.get(replicaId) ?? 0)),
    );
    await store.queueNodesOf(
      tx,
      attributable.map(({ replicaId, minute }) => ({ replicaId, minute })),
    );
    return rows.length - known.length;
  }
}
