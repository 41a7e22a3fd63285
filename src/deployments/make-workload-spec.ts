import { digestOfJson, type Digest } from '../kernel/digest.ts';
import type { Json } from '../kernel/event.ts';
import type { ObservedWorkload, ReplicaRuntime, WorkloadSpec } from './cluster.port.ts';
import { DEFAULT_READINESS_TIMEOUT_MS, deploymentPath, priorityOf, type Deployment } from './deployment.ts';
import type { Workload } from './replica.ts';
import type { Revision } from './revision.ts';

/** Added to the deadline of a request, so that every accepted request can end. */
const DRAIN_MARGIN_MS = 5_000;
const OIP_HEALTH_PATH = '/v2/health/ready';

export interface ArtifactSource {
  readonly artifactUrl: string;
  readonly artifactToken: string;
}

/** For runtimes that fetch nothing. */
export const NO_ARTIFACT: ArtifactSource = { artifactUrl: '', artifactToken: '' };

/** What a spec takes from outside its deployment. */
export interface WorkloadSurroundings {
  readonly artifact: ArtifactSource;
  readonly teamReplicaLimit: number | null;
}

/** Everything the cluster needs to run the workload. */
export function makeWorkloadSpec(
  deployment: Deployment,
  revision: Revision,
  workload: Workload,
  { artifact, teamReplicaLimit }: WorkloadSurroundings,
): WorkloadSpec {
  const { runtime, resources, protocol } = revision.spec;
  return {
    workloadId: workload.id,
    generation: workload.generation,
    deploymentId: deployment.id,
    revisionId: revision.id,
    teamId: deployment.teamId,
    projectId: deployment.projectId,
    teamName: deployment.teamName,
    projectName: deployment.projectName,
    path: deploymentPath(deployment),
    modelName: deployment.name,
    modelVersion: String(revision.spec.modelVersionNumber),
    revisionNumber: revision.number,
    poolName: workload.poolName,
    capacityType: workload.capacityType,
    nodeSelector: workload.nodeSelector,
    replicas: workload.replicas,
    teamReplicaLimit,
    resources,
    runtime: replicaRuntime(revision, artifact),
    adopt: revision.spec.adopt ?? null,
    protocol,
    port: runtime.format === 'onnx' ? null : runtime.port,
    healthPath: runtime.format === 'onnx' ? OIP_HEALTH_PATH : runtime.healthPath,
    readinessTimeoutMs: deployment.spec.readinessTimeoutMs ?? DEFAULT_READINESS_TIMEOUT_MS,
    drainTimeoutMs: deployment.spec.deadlineMs + DRAIN_MARGIN_MS,
    concurrency: revision.concurrency,
    ...(priorityOf(deployment.spec) === 'low' ? { yields: true as const } : {}),
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

/** Equal for specs that ask for the same; where and with which permission an artifact is fetched may be renewed without being a change. */
export function workloadDigest(spec: WorkloadSpec): Digest {
  const runtime = spec.runtime.format === 'onnx' ? { ...spec.runtime, ...NO_ARTIFACT } : spec.runtime;
  return digestOfJson(JSON.parse(JSON.stringify({ ...spec, runtime })) as Json);
}

/**
 * True if a cluster that shows `told` needs not be told this spec. One that can be meddled with says what it was told; another spec, or one
 * of which something is missing, is told again. A later generation than the spec's is nobody's to change here.
 */
export function isAsTold(told: ObservedWorkload, spec: WorkloadSpec): boolean {
  if (told.generation !== spec.generation) return told.generation > spec.generation;
  return told.specDigest === null || told.specDigest === workloadDigest(spec);
}
