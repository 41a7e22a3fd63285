import type { ReportAnswer, UsageReport } from './router-contract/usage-report.ts';

/** Who books what routers report. */
export interface UsageSink {
  /** A router takes tables from now on: no minute that it may have traffic in counts as acknowledged before its own word. */
  joined(router: { readonly name: string }): Promise<void>;
  /**
   * Answers after the commit. The same (source, sequence) again changes nothing and is answered alike with `repeated`. A throw means
   * "not counted": the router sends the same report again.
   */
  accept(report: UsageReport, router: { readonly name: string }): Promise<ReportAnswer>;
}
