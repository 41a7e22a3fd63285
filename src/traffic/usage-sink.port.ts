import type { ReportAnswer, UsageReport } from './router-contract/usage-report.ts';

/** Who books what routers report. */
export interface UsageSink {
  /**
   * Answers after the commit. The same (source, sequence) again changes nothing and is answered alike with `repeated`. A throw means
   * "not counted": the router sends the same report again.
   */
  accept(report: UsageReport, router: { readonly name: string }): Promise<ReportAnswer>;
}
