import type { Digest } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** A project's claim to some bytes. */
export interface Artifact {
  readonly projectId: Id;
  readonly teamId: Id;
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** `uploading`: room is reserved; `stored`: all bytes are there and have the digest. */
  readonly state: 'uploading' | 'stored';
  readonly createdAt: Instant;
}

export interface ArtifactStore {
  artifact(tx: Transaction, projectId: Id, digest: Digest): Promise<Artifact | null>;
  /** Makes reservations of the team wait for each other until the transaction ends. */
  lockUse(tx: Transaction, teamId: Id): Promise<void>;
  /** Bytes stored or reserved by the team and by the project. */
  use(tx: Transaction, teamId: Id, projectId: Id): Promise<{ readonly team: bigint; readonly project: bigint }>;
  /**
   * Inserts the artifact, or takes over its unfinished upload, for one writer that shows a sign of life more often than every
   * `CLAIM_MS`. False while another writer does so. The database's clock decides.
   */
  claim(tx: Transaction, artifact: Artifact, writer: Id): Promise<boolean>;
  /** The sign of life; false once another writer has taken over. Safe to repeat. */
  renew(tx: Transaction, artifact: Artifact, writer: Id, now: Instant): Promise<boolean>;
  /** Lets the next writer in at once; nothing if another one has taken over. Safe to repeat. */
  release(tx: Transaction, key: ArtifactKey, writer: Id): Promise<void>;
  /** All bytes are there; false once another writer has taken over. */
  finish(tx: Transaction, key: ArtifactKey, writer: Id): Promise<boolean>;
  /** Gives the room back; nothing once another writer has taken over. Safe to repeat. */
  remove(tx: Transaction, key: ArtifactKey, writer: Id): Promise<void>;
  /** Unfinished uploads that nobody sends and nobody has sent since `before`, the oldest first. */
  abandoned(tx: Transaction, before: Instant, limit: number): Promise<Artifact[]>;
}

export interface ArtifactKey {
  readonly projectId: Id;
  readonly digest: Digest;
}

/** How long a writer may be silent. Higher: after a crash the upload goes on late; lower: a busy database ends an upload under way. */
export const CLAIM_MS = 30_000;
