import { Counter, type MetricRegistry } from '../telemetry/metrics.ts';
import type { ReportAnswer } from '../traffic/router-contract/usage-report.ts';

/** What metering and ledger count. */
export interface CostMetrics {
  reported(answer: ReportAnswer, rows: number): void;
  settled(done: { readonly minutes: number; readonly lines: number; readonly violations: number }): void;
  /** Promises found broken by the audit. */
  violated(count: number): void;
}

export function makeCostMetrics(registry: MetricRegistry): CostMetrics {
  const registers = [registry];
  const reports = new Counter({
    name: 'purser_usage_reports_total',
    help: 'Usage reports by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const rows = new Counter({
    name: 'purser_usage_rows_total',
    help: 'Usage rows by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const minutes = new Counter({
    name: 'purser_ledger_minutes_total',
    help: 'Minutes of replicas and of shared nodes closed or restated.',
    registers,
  });
  const lines = new Counter({ name: 'purser_ledger_lines_total', help: 'Ledger lines appended.', registers });
  const violations = new Counter({
    name: 'purser_ledger_violations_total',
    help: 'Promises of the ledger found broken: lines that do not sum to their cost, and the like. Must stay 0.',
    registers,
  });
  return {
    reported: (answer, count) => {
      const outcome = !answer.accepted ? 'refused' : answer.repeated ? 'repeated' : 'counted';
      reports.inc({ outcome });
      rows.inc({ outcome: 'refused' }, answer.refusedRows);
      if (outcome === 'counted') rows.inc({ outcome }, count - answer.refusedRows);
    },
    settled: (done) => {
      minutes.inc(done.minutes);
      lines.inc(done.lines);
      violations.inc(done.violations);
    },
    violated: (count) => violations.inc(count),
  };
}
