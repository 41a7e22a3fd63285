import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** How far the event log is: what changes the route table also records an event. */
export interface LogPosition {
  /** Names this history of this database: another after a restore. */
  readonly epoch: string;
  /** Events that are committed, numbered or not: the same count is the same history. */
  readonly committed: number;
}

/** A table's number, and the digest of what it tells. */
export interface TableVersion {
  readonly n: number;
  readonly digest: string;
}

/** The number of the route table, shared by all instances, so that it never goes back. */
export interface RouteTableStore {
  /** One cheap statement; reads only. */
  position(tx: Transaction): Promise<LogPosition>;
  version(tx: Transaction): Promise<TableVersion>;
  /** Gives the number after the last one; false, and nothing is written, if another instance has given it. */
  saveVersion(tx: Transaction, version: TableVersion): Promise<boolean>;
  /** From first capacity to first serving, in ms: the median of the last starts that were watched. Absent where there was none. */
  startsMs(tx: Transaction, deploymentIds: readonly Id[]): Promise<ReadonlyMap<Id, number>>;
}
