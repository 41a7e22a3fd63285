import { MINUTE_MS, minuteOf, type Instant } from '../kernel/instant.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { TableVersion } from '../traffic/router-contract/route-table.ts';
import type { UsageReport, UsageRow } from '../traffic/router-contract/usage-report.ts';
import type { MicroClock } from './micro-clock.ts';
import { ReportSpool, leftIncarnations } from './report-spool.ts';
import type { RouterMetrics } from './router.metrics.ts';
import type { UsageWindow } from './usage-window.ts';

/** Rows per report, so that it stays under 1 MiB. Higher: reports are refused; lower: more round trips. */
const MAX_ROWS = 1_800;
/** Wait after a failed sending, doubled up to the longest. */
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 5_000;

export interface ReporterDeps {
  readonly folder: string;
  readonly routerName: string;
  readonly incarnation: string;
  readonly clock: MicroClock;
  readonly usage: UsageWindow;
  readonly metrics: RouterMetrics;
  readonly logger: Logger;
  readonly version: () => TableVersion | null;
  /** Sends one report: true = answered, false = refused for good; throws = send again. */
  readonly send: (json: string) => Promise<boolean>;
  readonly random: () => number;
}

/** Puts usage on disk each second, and sends it in order, old incarnations first, until it is acknowledged. */
export class Reporter {
  readonly #deps: ReporterDeps;
  readonly #own: ReportSpool;
  #old: ReportSpool[];
  #minute: Instant;
  #sending: Promise<void> | null = null;
  #notBefore = 0;
  #retryMs = FIRST_RETRY_MS;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
    this.#minute = minuteOf(this.#nowMs());
    this.#old = leftIncarnations(deps.folder).map((incarnation) => new ReportSpool(deps.folder, incarnation));
    for (const spool of this.#old) this.#append(spool, this.#minute, []);
    this.#own = new ReportSpool(deps.folder, deps.incarnation);
  }

  get pending(): number {
    return this.#own.pending + this.#old.reduce((sum, spool) => sum + spool.pending, 0);
  }

  /** Called each second: spools what was counted, then sends. */
  tick(): void {
    this.#spool();
    if (this.#nowMs() >= this.#notBefore) void this.#drain();
    this.#deps.metrics.reportsPending.set(this.pending);
  }

  /** The last word of this process: everything to disk, then one try to deliver all of it. */
  async finish(): Promise<void> {
    this.#spool();
    await this.#drain();
    this.#own.close();
    for (const spool of this.#old) spool.close();
  }

  #spool(): void {
    const minute = minuteOf(this.#nowMs());
    const turned = minute > this.#minute;
    if (turned) this.#deps.usage.cutOpen(minute * 1000);
    this.#minute = Math.max(minute, this.#minute);
    const rows = this.#deps.usage.take();
    if (rows.length === 0 && !turned) return;
    const before = turned ? this.#minute - MINUTE_MS : this.#minute;
    while (rows.length > MAX_ROWS) this.#append(this.#own, before, rows.splice(0, MAX_ROWS));
    this.#append(this.#own, this.#minute, rows);
  }

  #append(spool: ReportSpool, through: Instant, rows: readonly UsageRow[]): void {
    const tableVersion = this.#deps.version() ?? { epoch: '', n: 0 };
    const source = `${this.#deps.routerName}/${spool.incarnation}`;
    const report = { source, sequence: spool.lastSequence + 1, through, tableVersion, rows };
    if (!this.#onDisk(spool, report)) this.#deps.metrics.reportsDropped.inc();
  }

  /** A disk that is full costs usage, never a request. */
  #onDisk(spool: ReportSpool, report: UsageReport): boolean {
    try {
      return spool.append(report);
    } catch (error) {
      this.#deps.logger.error({ error: (error as Error).message }, 'a usage report could not be put on disk');
      return false;
    }
  }

  #drain(): Promise<void> {
    this.#sending ??= this.#sendAll().finally(() => (this.#sending = null));
    return this.#sending;
  }

  async #sendAll(): Promise<void> {
    try {
      for (const spool of [...this.#old]) {
        await this.#sendSpool(spool);
        spool.remove();
        this.#old = this.#old.filter((other) => other !== spool);
      }
      await this.#sendSpool(this.#own);
      this.#retryMs = FIRST_RETRY_MS;
    } catch {
      this.#notBefore = this.#nowMs() + this.#retryMs * (0.5 + this.#deps.random());
      this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
    }
  }

  async #sendSpool(spool: ReportSpool): Promise<void> {
    for (let report = spool.first(); report; report = spool.first()) {
      if (!(await this.#deps.send(report.json))) await this.#giveUp(report.json);
      spool.acknowledge(report.sequence);
    }
  }

  /** Its sequence is told without its rows: a gap would keep every later `through` from counting. */
  async #giveUp(json: string): Promise<void> {
    this.#deps.metrics.reportsDropped.inc();
    const report = JSON.parse(json) as UsageReport;
    await this.#deps.send(JSON.stringify({ ...report, rows: [] }));
  }

  #nowMs(): number {
    return Math.floor(this.#deps.clock.nowUs() / 1000);
  }
}
