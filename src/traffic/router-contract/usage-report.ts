import type { Id } from '../../kernel/id.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { TableVersion } from './route-table.ts';

export type UsageKind = 'inference' | 'mirror' | 'warmup' | 'batch';

/** Usage of one replica in one minute by one group of callers. All counts are integers; deltas since the last report. */
export interface UsageRow {
  readonly replicaId: Id;
  /** Start of the minute. */
  readonly minute: Instant;
  readonly callerTeamId: Id;
  /** Principal id of the caller. */
  readonly caller: Id;
  readonly kind: UsageKind;
  /** Name of the experiment arm, empty when there is none. */
  readonly experiment: string;
  readonly busyUs: number;
  readonly attempts: number;
  /** Counted on the answering attempt only. */
  readonly requests: number;
  readonly errors: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Sum of the final stamps, in pico-dollars, as a decimal string. */
  readonly stampedPicoUsd: string;
}

/** At most 1 MiB of JSON. Delivered at least once; counted once by (source, sequence). */
export interface UsageReport {
  /** `<router name>/<incarnation>`: a new incarnation starts its sequence at 1. */
  readonly source: string;
  readonly sequence: number;
  /** All usage of minutes that end at or before this instant has been reported by this and earlier reports of this source. */
  readonly through: Instant;
  readonly tableVersion: TableVersion;
  readonly rows: readonly UsageRow[];
}

export interface ReportAnswer {
  readonly accepted: boolean;
  /** True when this (source, sequence) was counted before. */
  readonly repeated: boolean;
  /** Rows refused because the replica was never in a table sent to this router. */
  readonly refusedRows: number;
}
