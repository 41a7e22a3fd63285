import type { Digest } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Resources } from '../kernel/resources.ts';

export type ModelFormat = 'onnx' | 'container' | 'process';

export type Protocol = 'oip' | 'openai' | 'http';

/** Which version of a model is meant; an alias leads where it points now, the latest is the newest that is not archived. */
export type VersionTarget = { readonly number: number } | { readonly alias: string } | { readonly latest: true };

/** One input or output of a model; a dimension of -1 is free. */
export interface Tensor {
  readonly name: string;
  /** Open Inference Protocol datatype: `FP32`, `INT64`, `BYTES`, … */
  readonly datatype: string;
  readonly shape: readonly number[];
}

export interface Signature {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** ONNX only: version of the file's format, and of its default operator set. */
  readonly irVersion?: number;
  readonly opset?: number;
}

/** How a replica of the version is started. */
export type Runtime =
  | { readonly format: 'onnx' }
  | {
      readonly format: 'container';
      readonly image: string;
      readonly port: number;
      readonly healthPath: string;
      readonly protocol: Protocol;
      readonly environment: Readonly<Record<string, string>>;
    }
  | {
      readonly format: 'process';
      readonly command: readonly string[];
      readonly port: number;
      readonly healthPath: string;
      readonly protocol: Protocol;
      readonly environment: Readonly<Record<string, string>>;
    };

export interface Lineage {
  readonly runId: string | null;
  readonly sourceUrl: string | null;
}

/** What one replica carries on an accelerator, with the resources that the version says. */
export interface ReplicaRate {
  /** Its model, as offerings name it; null = without one. */
  readonly accelerator: string | null;
  /** Requests in 1,000 seconds. */
  readonly milliRequestsPerSecond: number;
}

/** Immutable once registered; only `archivedAt` may be set, once. */
export interface ModelVersion {
  readonly id: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly modelId: Id;
  /** Dense per model, from 1. */
  readonly number: number;
  readonly format: ModelFormat;
  readonly artifact: { readonly digest: Digest; readonly sizeBytes: number } | null;
  readonly signature: Signature | null;
  readonly runtime: Runtime;
  /** What one replica needs unless the deployment says otherwise. */
  readonly resources: Resources;
  /** As whoever registered it says; empty = nobody knows. */
  readonly carries: readonly ReplicaRate[];
  readonly lineage: Lineage | null;
  readonly createdAt: Instant;
  readonly createdBy: string;
  readonly archivedAt: Instant | null;
}
