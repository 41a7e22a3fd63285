import type { WorkloadSpec } from '../../deployments/cluster.port.ts';
import type { KubernetesManifest } from '../api/objects.ts';
import type { ManifestSettings } from './manifest-settings.ts';
import {
  ANNOTATIONS,
  BATCH_PRIORITY,
  installationLabels,
  LABELS,
  MANAGED_BY,
  projectObjectName,
  SERVING_PRIORITY,
  teamNamespace,
} from './names.ts';

type Whose = Pick<WorkloadSpec, 'teamName' | 'projectName' | 'projectId' | 'teamReplicaLimit'>;

/** The team's namespace: the API server refuses pods in it that are not restricted. */
export const makeNamespace = (whose: Whose, settings: ManifestSettings): KubernetesManifest => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: {
    name: teamNamespace(settings.namespacePrefix, whose.teamName),
    labels: {
      ...teamLabels(whose, settings),
      ...Object.fromEntries(['enforce', 'audit', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted'])),
    },
  },
});

export const QUOTA_NAME = 'purser-replicas';

/**
 * The team's quota as the cluster's own second opinion; null = the team has none. Twice the limit, because replicas that drain, and those
 * that take their place, count here at the same time. Pods of others in the namespace do not count.
 */
export function makeQuota(whose: Whose, settings: ManifestSettings): KubernetesManifest | null {
  if (whose.teamReplicaLimit === null) return null;
  return {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: {
      name: QUOTA_NAME,
      namespace: teamNamespace(settings.namespacePrefix, whose.teamName),
      labels: teamLabels(whose, settings),
    },
    spec: {
      hard: { pods: String(2 * whose.teamReplicaLimit) },
      scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: [SERVING_PRIORITY] }] },
    },
  };
}

/** Whom a project's replicas run as: nobody that the API server would let in, and a user of their own on the node. */
export const makeServiceAccount = (whose: Whose, settings: ManifestSettings, uid: number): KubernetesManifest => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: {
    ...projectMetadata(whose, settings),
    annotations: { [ANNOTATIONS.projectId]: whose.projectId, [ANNOTATIONS.uid]: String(uid) },
  },
  automountServiceAccountToken: false,
});

/** Only routers reach a project's replicas; the replicas themselves may reach out. */
export const makeNetworkPolicy = (whose: Whose, settings: ManifestSettings): KubernetesManifest => {
  const { namespace, cidrs } = settings.routerSources;
  const from = [
    ...(namespace === null ? [] : [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } }]),
    ...cidrs.map((cidr) => ({ ipBlock: { cidr } })),
  ];
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: projectMetadata(whose, settings),
    spec: {
      podSelector: { matchLabels: projectLabels(whose, settings) },
      policyTypes: ['Ingress'],
      // A rule without sources would let everybody in.
      ...(from.length > 0 ? { ingress: [{ from }] } : {}),
    },
  };
};

/** Of all installations on the cluster. What serves throws out what can wait, and nothing that others run: their pods have 0 unless they say so. */
export const makePriorityClasses = (): readonly KubernetesManifest[] => [
  priorityClass(SERVING_PRIORITY, 0, 'Replicas that serve requests.'),
  priorityClass(BATCH_PRIORITY, -1000, 'Work that can wait and be done again.'),
];

const priorityClass = (name: string, value: number, description: string): KubernetesManifest => ({
  apiVersion: 'scheduling.k8s.io/v1',
  kind: 'PriorityClass',
  metadata: { name, labels: { [LABELS.managedBy]: MANAGED_BY } },
  value,
  preemptionPolicy: 'PreemptLowerPriority',
  description,
});

const teamLabels = ({ teamName }: Whose, { installation }: ManifestSettings) => ({
  ...installationLabels(installation),
  [LABELS.team]: teamName,
});

const projectLabels = (whose: Whose, settings: ManifestSettings) => ({
  ...teamLabels(whose, settings),
  [LABELS.project]: whose.projectName,
});

const projectMetadata = (whose: Whose, settings: ManifestSettings) => ({
  name: projectObjectName(whose.projectName),
  namespace: teamNamespace(settings.namespacePrefix, whose.teamName),
  labels: projectLabels(whose, settings),
});
