import type { WorkloadSpec } from '../../deployments/cluster.port.ts';
import { NO_ARTIFACT } from '../../deployments/make-workload-spec.ts';
import { canonicalJson, digestOfJson } from '../../kernel/digest.ts';
import type { Json } from '../../kernel/event.ts';
import type { KubernetesManifest, LabelSelector } from '../api/objects.ts';
import { makePodTemplate, portOf, type TemplateOptions } from './make-pod-template.ts';
import type { ManifestSettings } from './manifest-settings.ts';
import { ANNOTATIONS, LABELS, namespaceOf, PORT_NAME, serviceName, workloadLabels, workloadName } from './names.ts';

/** What one workload is in a cluster; the pods come of it. */
export interface WorkloadObjects {
  readonly service: KubernetesManifest;
  readonly deployment: KubernetesManifest;
  readonly disruptionBudget: KubernetesManifest;
}

/** Old ReplicaSets that are kept. Purser goes back by revisions of its own; higher keeps more empty objects. */
const HISTORY = 1;
/** Beyond the readiness time until Kubernetes says that a change makes no progress. Nothing here decides by it. */
const PROGRESS_MARGIN_SECONDS = 60;

/** Everything about a workload but its secret and who wrote it; equal specs give equal manifests. */
export function makeWorkloadObjects(spec: WorkloadSpec, options: TemplateOptions): WorkloadObjects {
  const { settings } = options;
  const metadata = metadataOf(spec, settings);
  const selector = { matchLabels: { [LABELS.workload]: spec.workloadId } };
  const service = makeService(spec, settings, selector.matchLabels);
  const disruptionBudget = {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata,
    spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow', selector },
  };
  const body = makeDeploymentSpec(spec, options, selector);
  const annotations = { ...toldAnnotations(spec), [ANNOTATIONS.manifests]: digestOf({ service, disruptionBudget, body }) };
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { ...metadata, annotations }, spec: body };
  return { service, disruptionBudget, deployment };
}

/** Reaches the pods for people in the cluster, and makes Kubernetes say which of them are ready. */
export function makeService(
  spec: WorkloadSpec,
  settings: ManifestSettings,
  selector: Readonly<Record<string, string>>,
): KubernetesManifest {
  const port = portOf(spec);
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadataOf(spec, settings), name: serviceName(spec) },
    spec: {
      type: 'ClusterIP',
      selector,
      ports: [{ name: PORT_NAME, port, targetPort: spec.adopt ? port : PORT_NAME, protocol: 'TCP' }],
    },
  };
}

/** Where and with which permission the artifact is fetched; null = nothing is. */
export function makeArtifactSecret(spec: WorkloadSpec, settings: ManifestSettings): KubernetesManifest | null {
  const { runtime } = spec;
  if (runtime.format !== 'onnx' || spec.adopt) return null;
  const data = { url: base64(runtime.artifactUrl), token: base64(runtime.artifactToken) };
  return { apiVersion: 'v1', kind: 'Secret', metadata: metadataOf(spec, settings), type: 'Opaque', data };
}

/** What the workload was told, on the object that stands for it. */
export const toldAnnotations = (spec: WorkloadSpec): Readonly<Record<string, string>> => ({
  [ANNOTATIONS.generation]: String(spec.generation),
  // Sorted, so that what was read back is written alike.
  [ANNOTATIONS.workloadSpec]: canonicalJson(jsonOf(withoutSecrets(spec))),
});

export const withoutSecrets = (spec: WorkloadSpec): WorkloadSpec =>
  spec.runtime.format === 'onnx' ? { ...spec, runtime: { ...spec.runtime, ...NO_ARTIFACT } } : spec;

/** Independent of the order of fields. */
export const digestOf = (manifests: unknown): string => digestOfJson(jsonOf(manifests));

const jsonOf = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;

function makeDeploymentSpec(spec: WorkloadSpec, options: TemplateOptions, selector: LabelSelector) {
  return {
    replicas: spec.replicas,
    revisionHistoryLimit: HISTORY,
    progressDeadlineSeconds: Math.ceil(spec.readinessTimeoutMs / 1000) + PROGRESS_MARGIN_SECONDS,
    selector,
    strategy: {
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 0, maxSurge: Math.max(1, Math.ceil(spec.replicas / 4)) },
    },
    template: makePodTemplate(spec, options),
  };
}

const metadataOf = (spec: WorkloadSpec, { installation, namespacePrefix }: ManifestSettings) => ({
  name: workloadName(spec),
  namespace: namespaceOf(spec, namespacePrefix),
  labels: workloadLabels(spec, installation),
});

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');
