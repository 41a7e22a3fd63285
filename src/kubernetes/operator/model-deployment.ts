import { z } from 'zod';

export const OPERATOR_FINALIZER = 'purser.dev/deployment';
/** The team whose projects a namespace may deploy to: set by whoever may label namespaces. */
export const TEAM_LABEL = 'purser.dev/team';

const Resources = z.object({
  cpuMilli: z.number(),
  memoryMib: z.number(),
  accelerator: z.object({ model: z.string(), countMilli: z.number(), memoryMib: z.number().default(0) }).optional(),
});

const Spec = z.object({
  project: z.string(),
  name: z.string().optional(),
  model: z.string(),
  modelVersion: z.number().optional(),
  alias: z.string().optional(),
  replicas: z.number().optional(),
  resources: Resources.optional(),
  concurrency: z.number().optional(),
  deadlineMs: z.number().optional(),
  readinessTimeoutMs: z.number().optional(),
  queueLimit: z.number().optional(),
  retryable: z.boolean().optional(),
  hosts: z.array(z.string()).optional(),
  maxReplicas: z.number().optional(),
  maxSpendPerHour: z.string().optional(),
  regions: z.array(z.string()).optional(),
  capacityTypes: z.array(z.enum(['ON_DEMAND', 'SPOT', 'RESERVED'])).optional(),
  clusters: z.array(z.object({ cluster: z.string(), weight: z.number().optional(), order: z.number().optional() })).optional(),
});

const ConditionOf = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string(),
  message: z.string(),
  observedGeneration: z.number().optional(),
  lastTransitionTime: z.string(),
});

const Status = z.object({
  observedGeneration: z.number().optional(),
  path: z.string().optional(),
  phase: z.string().optional(),
  replicas: z.string().optional(),
  url: z.string().optional(),
  monthlyCost: z.string().optional(),
  revision: z.number().optional(),
  conditions: z.array(ConditionOf).default([]),
});

const ModelDeploymentShape = z.object({
  metadata: z.object({
    namespace: z.string(),
    name: z.string(),
    uid: z.string(),
    generation: z.number(),
    resourceVersion: z.string(),
    deletionTimestamp: z.string().optional(),
    finalizers: z.array(z.string()).default([]),
  }),
  spec: Spec,
  status: Status.default({ conditions: [] }),
});

/** A `ModelDeployment` as the API server gives it. */
export type ModelDeployment = z.output<typeof ModelDeploymentShape>;
export type ModelDeploymentStatus = z.output<typeof Status>;
export type ModelDeploymentCondition = z.output<typeof ConditionOf>;

/** Null for what the schema of the custom resource would never let in. */
export function parseModelDeployment(value: unknown): ModelDeployment | null {
  const parsed = ModelDeploymentShape.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** `team/project/deployment`. */
export const pathOf = ({ spec, metadata }: ModelDeployment): string => `${spec.project}/${spec.name ?? metadata.name}`;

/** Who manages the deployment, as the API shows it to whoever is refused. */
export const managerOf = (clusterName: string, { metadata }: Pick<ModelDeployment, 'metadata'>): string =>
  `ModelDeployment ${clusterName}/${metadata.namespace}/${metadata.name}`;
