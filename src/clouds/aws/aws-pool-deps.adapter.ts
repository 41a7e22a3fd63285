import type { Clock } from '../../kernel/clock.ts';
import type { AwsApi } from './aws-api.adapter.ts';
import type { AwsMachines } from './aws-machines.adapter.ts';
import type { AwsPoolRecords } from './aws-pool-records.adapter.ts';

/** What both kinds of pools work with. */
export interface AwsPoolDeps {
  readonly api: AwsApi;
  readonly machines: AwsMachines;
  readonly records: AwsPoolRecords;
  readonly clock: Clock;
}

export interface Wish {
  readonly desired: number;
  readonly release: readonly string[];
}
