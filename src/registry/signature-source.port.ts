import type { Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Signature } from './model-version.ts';

/** What a stored artifact says of itself. */
export interface SignatureSource {
  /**
   * Reads the artifact outside of any transaction, so that `read` need not: a large one takes longer than a transaction may be idle.
   * Does nothing where the project does not hold it.
   */
  prepare(key: { readonly projectId: Id; readonly digest: string }): Promise<void>;
  /** NOT_FOUND if the project does not hold the whole artifact, INVALID_INPUT if it is not an ONNX model. Safe to repeat. */
  read(
    tx: Transaction,
    key: { readonly projectId: Id; readonly digest: string },
  ): Promise<Result<{ readonly signature: Signature; readonly sizeBytes: number }, Failure>>;
}
