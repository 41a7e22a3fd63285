import type { Digest } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';

/** Bytes are kept per project: two projects with the same file hold it twice, so that neither can probe the other's. */
export interface BlobKey {
  readonly projectId: Id;
  readonly digest: Digest;
}

/** Thrown by `append` and `commit` when there is no room; what was staged is still there until `discard`. */
export class BlobStoreFull extends Error {
  override readonly name = 'BlobStoreFull';
}

/** Keeps artifact bytes: staged while they arrive, then committed as a whole. Checks no digests: that is the caller's. */
export interface BlobStore {
  /** How many bytes of an unfinished upload are kept; 0 for none. Safe to repeat. */
  stagedBytes(key: BlobKey): Promise<number>;

  /**
   * Adds the bytes behind those that are staged and returns how many there are then. When `chunks` throws, what arrived before is
   * kept as far as possible and the error is thrown on: going on at `stagedBytes` is the retry. One writer per key at a time.
   */
  append(key: BlobKey, chunks: AsyncIterable<Uint8Array>): Promise<number>;

  /** The staged bytes from the start. */
  openStaged(key: BlobKey): AsyncIterable<Uint8Array>;

  /** Makes the staged bytes the blob, durably and all at once. An existing blob is replaced. Not to be repeated after success. */
  commit(key: BlobKey): Promise<void>;

  /** Forgets what is staged; nothing staged is fine. Safe to repeat. */
  discard(key: BlobKey): Promise<void>;

  /** Deletes the blob and what is staged for it; nothing there is fine. Safe to repeat. */
  remove(key: BlobKey): Promise<void>;

  /** Size of a committed blob; null if there is none. Safe to repeat. */
  size(key: BlobKey): Promise<number | null>;

  /** A committed blob from the start; iterating one that is absent throws. Safe to repeat. */
  open(key: BlobKey): AsyncIterable<Uint8Array>;
}
