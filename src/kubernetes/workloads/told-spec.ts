import { z } from 'zod';
import type { WorkloadSpec } from '../../deployments/cluster.port.ts';
import type { KubernetesObject } from '../api/objects.ts';
import { ANNOTATIONS, LABELS } from '../manifests/names.ts';

const text = z.string();
const count = z.number().int().nonnegative();
const texts = z.record(z.string(), z.string());
const accelerator = z.object({ model: text, countMilli: count, memoryMib: count });
const runtime = z.discriminatedUnion('format', [
  z.object({ format: z.literal('onnx'), artifactDigest: text, artifactUrl: text, artifactToken: text }),
  z.object({ format: z.literal('process'), command: z.array(text), environment: texts }),
  z.object({ format: z.literal('container'), image: text, environment: texts }),
]);

const workloadSpec = z.looseObject({
  ...{ workloadId: text, generation: count, deploymentId: text, revisionId: text, teamId: text, projectId: text },
  ...{ teamName: text, projectName: text, path: text, modelName: text, modelVersion: text, revisionNumber: count },
  poolName: text,
  capacityType: z.enum(['on_demand', 'spot', 'reserved']),
  nodeSelector: texts,
  replicas: count,
  teamReplicaLimit: count.nullable(),
  resources: z.object({ cpuMilli: count, memoryMib: count, accelerator: accelerator.nullable() }),
  runtime,
  adopt: z.object({ namespace: text, name: text }).nullable(),
  protocol: z.enum(['oip', 'openai', 'http']),
  port: count.nullable(),
  healthPath: text,
  ...{ readinessTimeoutMs: count, drainTimeoutMs: count, concurrency: count },
}) satisfies z.ZodType<WorkloadSpec>;

/** What was read of each object, which is never changed: each pass looks at all of them. */
const readSpecs = new WeakMap<KubernetesObject, WorkloadSpec | null>();

/** What the workload was told, as its object says; null where somebody has spoilt it. */
export function toldSpec(object: KubernetesObject): WorkloadSpec | null {
  const known = readSpecs.get(object);
  if (known !== undefined) return known;
  const told = readSpec(object);
  readSpecs.set(object, told);
  return told;
}

function readSpec({ metadata }: KubernetesObject): WorkloadSpec | null {
  const parsed = workloadSpec.safeParse(jsonOf(metadata.annotations?.[ANNOTATIONS.workloadSpec] ?? ''));
  return parsed.success && parsed.data.workloadId === metadata.labels?.[LABELS.workload] ? parsed.data : null;
}

/** 0 where it does not say. */
export const toldGeneration = ({ metadata }: KubernetesObject): number =>
  numberIn(metadata.annotations?.[ANNOTATIONS.generation]);

/** Of the leader that wrote the object last; 0 where it does not say. */
export const epochOf = ({ metadata }: KubernetesObject): number => numberIn(metadata.annotations?.[ANNOTATIONS.epoch]);

const numberIn = (value: string | undefined): number => {
  const number = Number(value ?? 0);
  return Number.isSafeInteger(number) ? number : 0;
};

function jsonOf(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return null;
  }
}
