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
  /** Inserts the artifact, or replaces size and state of the row of the same project and digest. */
  save(tx: Transaction, artifact: Artifact): Promise<void>;
  remove(tx: Transaction, projectId: Id, digest: Digest): Promise<void>;
}
