/** A place in the event log: everything up to and including `position`, in the history called `epoch`. */
export interface Cursor {
  /** Rises when the database was restored from a copy. */
  readonly epoch: number;
  /** Dense: the next event has this plus one. */
  readonly position: number;
}

const CURSOR = /^1\.(\d{1,9})\.(\d{1,15})$/;

/** Opaque text for clients; the leading number is the format's version. */
export const encodeCursor = (cursor: Cursor): string => Buffer.from(`1.${cursor.epoch}.${cursor.position}`).toString('base64url');

/** Null if it is not a cursor of ours. */
export function decodeCursor(text: string): Cursor | null {
  const match = CURSOR.exec(Buffer.from(text, 'base64url').toString('latin1'));
  return match ? { epoch: Number(match[1]), position: Number(match[2]) } : null;
}

/** The start of an epoch: the last position that it shares with the ones before. */
export interface EpochStart {
  readonly epoch: number;
  readonly forkPosition: number;
}

/** The log's own ends, read in the same snapshot as the events. */
export interface LogState {
  readonly epoch: number;
  /** The newest position. */
  readonly position: number;
  /** Events up to here are gone. */
  readonly pruned: number;
  /** Every epoch that ever started. */
  readonly starts: readonly EpochStart[];
}

export type GapReason = 'PRUNED' | 'RESTORED';

/** Where reading goes on, and what was missed on the way there, if anything. */
export interface Resumption {
  readonly from: Cursor;
  readonly gap: GapReason | null;
}

/**
 * Where a reader with this cursor goes on. A cursor of an older epoch is good up to the fork; above it, or above the newest position,
 * it speaks of events that this history does not have: RESTORED. Below `pruned`: PRUNED.
 */
export function resume(cursor: Cursor, log: LogState): Resumption {
  const shared = sharedUpTo(cursor.epoch, log);
  const restored = cursor.position > shared;
  const position = Math.min(cursor.position, shared);
  if (position < log.pruned) return { from: { epoch: log.epoch, position: log.pruned }, gap: restored ? 'RESTORED' : 'PRUNED' };
  return { from: { epoch: log.epoch, position }, gap: restored ? 'RESTORED' : null };
}

/** The last position that the history of `epoch` and the present one have in common; an epoch from the future shares nothing known. */
function sharedUpTo(epoch: number, log: LogState): number {
  const later = log.starts.filter((start) => start.epoch > epoch).map((start) => start.forkPosition);
  if (epoch > log.epoch) return log.pruned;
  return Math.min(log.position, ...later);
}
