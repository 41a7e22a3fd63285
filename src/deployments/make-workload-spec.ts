import type { ReplicaRuntime, WorkloadSpec } from './cluster.port.ts';
import { deploymentPath, type Deployment } from './deployment.ts';
import type { Workload } from './replica.ts';
import type { Revision } from './revision.ts';

/** Higher: a broken replica is tried in vain for longer; lower: slow starters (large models) never get ready. */
const READINESS_TIMEOUT_MS = 120_000;
/** Added to the deadline of a request, so that every accepted request can end. */
const DRAIN_MARGIN_MS = 5_000;
const OIP_HEALTH_PATH = '/v2/health/ready';

export interface ArtifactSource {
  readonly artifactUrl: string;
  readonly artifactToken: string;
}

/** Everything the cluster needs to run the workload. */
export function makeWorkloadSpec(
  deployment: Deployment,
  revision: Revision,
  workload: Workload,
  artifact: ArtifactSource,
): WorkloadSpec {
  const { runtime, resources, protocol } = revision.spec;
  return {
    workloadId: workload.id,
    generation: workload.generation,
    deploymentId: deployment.id,
    revisionId: revision.id,
    teamId: deployment.teamId,
    projectId: deployment.projectId,
    path: deploymentPath(deployment),
    modelName: deployment.name,
    modelVersion: String(revision.spec.modelVersionNumber),
    poolName: workload.poolName,
    replicas: workload.replicas,
    resources,
    runtime: replicaRuntime(revision, artifact),
    protocol,
    port: runtime.format === 'onnx' ? null : runtime.port,
    healthPath: runtime.format === 'onnx' ? OIP_HEALTH_PATH : runtime.healthPath,
    readinessTimeoutMs: READINESS_TIMEOUT_MS,
    drainTimeoutMs: deployment.spec.deadlineMs + DRAIN_MARGIN_MS,
    concurrency: revision.concurrency,
  };
}

function replicaRuntime({ spec }: Revision, artifact: ArtifactSource): ReplicaRuntime {
  const { runtime } = spec;
  if (runtime.format === 'onnx') return { format: 'onnx', artifactDigest: spec.artifactDigest ?? '', ...artifact };
  const { environment } = runtime;
  return runtime.format === 'process'
    ? { format: 'process', command: runtime.command, environment }
    : { format: 'container', image: runtime.image, environment };
}
