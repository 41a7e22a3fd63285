import type { WorkloadSpec } from '../../deployments/cluster.port.ts';
import { digestOf } from '../../kernel/digest.ts';

/** Marks of everything that Purser makes in a cluster. */
export const LABELS = {
  managedBy: 'app.kubernetes.io/managed-by',
  installation: 'purser.dev/installation',
  workload: 'purser.dev/workload',
  team: 'purser.dev/team',
  project: 'purser.dev/project',
  deployment: 'purser.dev/deployment',
  revision: 'purser.dev/revision',
} as const;

export const ANNOTATIONS = {
  /** Epoch of the leader that wrote the object last. */
  epoch: 'purser.dev/epoch',
  generation: 'purser.dev/generation',
  /** The spec that the workload was told, as JSON and without secrets. */
  workloadSpec: 'purser.dev/workload-spec',
  /** Digest of the manifests that were made of it, so that a newer version of Purser knows older ones. */
  manifests: 'purser.dev/spec-hash',
  /** When the permission to fetch the artifact was written last. */
  grantedAt: 'purser.dev/artifact-granted-at',
  revisionId: 'purser.dev/revision-id',
  projectId: 'purser.dev/project-id',
  uid: 'purser.dev/uid',
  /** On a KubernetesDeployment: somebody else says how many replicas it has. */
  scaledBy: 'purser.dev/scaled-by',
  /** On a foreign KubernetesDeployment: the team that may take it over. */
  adoptableBy: 'purser.dev/adoptable-by',
  /** When it was taken over: what ran before belonged to somebody else. */
  adoptedAt: 'purser.dev/adopted-at',
} as const;

export const MANAGED_BY = 'purser';
/** Name of the container and of the port of every replica. */
export const CONTAINER = 'replica';
export const PORT_NAME = 'http';
export const SERVING_PRIORITY = 'purser-serving';
export const BATCH_PRIORITY = 'purser-batch';

/** Kubernetes adds a hash of up to 17 characters for pods, and names of services have at most 63. */
const MAX_NAME = 40;
const MAX_LABEL = 63;

/** The name of a workload's objects: readable, and never that of another workload. */
export const workloadName = ({ modelName, workloadId }: Pick<WorkloadSpec, 'modelName' | 'workloadId'>): string =>
  `${cut(modelName, MAX_NAME)}-${shortHash(workloadId)}`;

/** Names of services must start with a letter, which those of deployments need not. */
export function serviceName(spec: Pick<WorkloadSpec, 'modelName' | 'workloadId'>): string {
  const name = workloadName(spec);
  return /^[a-z]/.test(name) ? name : `m-${name}`;
}

/** The team's namespace; one that would be too long ends in a hash. */
export function teamNamespace(prefix: string, teamName: string): string {
  const name = `${prefix}-${teamName}`;
  return name.length <= MAX_LABEL ? name : `${cut(name, MAX_LABEL - 9)}-${shortHash(name)}`;
}

/** Where a workload's objects live: with what it takes over, else with its team. */
export const namespaceOf = (spec: Pick<WorkloadSpec, 'adopt' | 'teamName'>, prefix: string): string =>
  spec.adopt?.namespace ?? teamNamespace(prefix, spec.teamName);

/** Of the objects that all replicas of a project share. */
export const projectObjectName = (projectName: string): string => `purser-${projectName}`;

export const installationLabels = (installation: string): Readonly<Record<string, string>> => ({
  [LABELS.managedBy]: MANAGED_BY,
  [LABELS.installation]: installation,
});

export const workloadLabels = (spec: WorkloadSpec, installation: string): Readonly<Record<string, string>> => ({
  ...installationLabels(installation),
  [LABELS.workload]: spec.workloadId,
  [LABELS.team]: spec.teamName,
  [LABELS.project]: spec.projectName,
  [LABELS.deployment]: spec.modelName,
  [LABELS.revision]: String(spec.revisionNumber),
});

const cut = (text: string, length: number): string => text.slice(0, length).replace(/-+$/, '');

const shortHash = (text: string): string => digestOf(text).slice('sha256:'.length, 'sha256:'.length + 8);
