import { digestOfJson } from '../kernel/digest.ts';
import type { Json } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Resources } from '../kernel/resources.ts';
import type { ModelVersion, Protocol, Runtime } from '../registry/model-version.ts';
import type { AdoptedObject } from './cluster.port.ts';
import type { DeploymentSpec } from './deployment.ts';

/** What a revision runs: a copy, so that nothing that happens to the version or the wish changes it. */
export interface RevisionSpec {
  readonly modelVersionNumber: number;
  readonly runtime: Runtime;
  readonly artifactDigest: string | null;
  readonly resources: Resources;
  readonly protocol: Protocol;
  readonly retryable: boolean;
  /** What runs already and is taken over; absent = the cluster makes its own. */
  readonly adopt?: AdoptedObject;
}

/** An immutable snapshot of what a deployment runs. */
export interface Revision {
  readonly id: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly deploymentId: Id;
  /** Dense per deployment, from 1. */
  readonly number: number;
  readonly modelId: Id;
  readonly modelVersionId: Id;
  readonly spec: RevisionSpec;
  /** Requests that one replica handles at a time (ledger: `c`). */
  readonly concurrency: number;
  readonly createdAt: Instant;
  readonly createdBy: string;
}

/** What a revision made from this wish and this version would run. */
export const makeRevisionSpec = (
  wish: DeploymentSpec,
  version: ModelVersion,
  adopt: AdoptedObject | null = null,
): RevisionSpec => ({
  modelVersionNumber: version.number,
  runtime: version.runtime,
  artifactDigest: version.artifact?.digest ?? null,
  resources: wish.resources ?? version.resources,
  protocol: version.runtime.format === 'onnx' ? 'oip' : version.runtime.protocol,
  retryable: wish.retryable,
  ...(adopt ? { adopt } : {}),
});

/** True if the revision already runs exactly this, so that no new one is needed. */
export const runsTheSame = (revision: Revision, modelVersionId: Id, spec: RevisionSpec, concurrency: number): boolean =>
  revision.modelVersionId === modelVersionId &&
  revision.concurrency === concurrency &&
  digestOfJson(plain(revision.spec)) === digestOfJson(plain(spec));

/** As JSON: fields that are undefined and key order play no part. */
const plain = (spec: RevisionSpec): Json => JSON.parse(JSON.stringify(spec)) as Json;
