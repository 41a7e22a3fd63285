import type { WorkloadSpec } from '../../deployments/cluster.port.ts';
import { makeNodeRules } from './make-node-rules.ts';
import type { ManifestSettings } from './manifest-settings.ts';
import {
  ANNOTATIONS,
  CONTAINER,
  LABELS,
  PORT_NAME,
  projectObjectName,
  SERVING_PRIORITY,
  BATCH_PRIORITY,
  workloadLabels,
  workloadName,
} from './names.ts';

/** Where the built-in server listens. */
const MODEL_SERVER_PORT = 8080;
const GRANT_FOLDER = '/var/run/purser/artifact';
const CACHE_FOLDER = '/cache';
/** What a replica may write below /tmp. Higher: one replica can fill its node; lower: uploads in flight do not fit. Beyond it is evicted. */
const TMP_LIMIT = '4Gi';
/** Weights that a server fetches by itself. Higher: as above; lower: large models do not fit. */
const CACHE_LIMIT = '512Gi';
/** From the notice that it leaves until the built-in server, which then ends what it has, hears of it. Lower: more retries; higher: slower scale-down. */
const NOTICE_SECONDS = 2;
/** What a server may take for its own end after the last request. Higher: one that ignores SIGTERM stays longer; lower: it is cut while it tidies up. */
const END_SECONDS = 10;
/** A probe that takes longer has failed. Lower: a busy replica counts as unready; higher: a hanging one is noticed late. */
const PROBE_TIMEOUT_SECONDS = 3;

export interface TemplateOptions {
  readonly settings: ManifestSettings;
  /** The user of the project's replicas. */
  readonly uid: number;
}

/** One replica: restricted in every way that pod security knows, with the workload's probes, drain and place. */
export function makePodTemplate(spec: WorkloadSpec, { settings, uid }: TemplateOptions) {
  return {
    metadata: {
      labels: workloadLabels(spec, settings.installation),
      annotations: { [ANNOTATIONS.revisionId]: spec.revisionId },
    },
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      serviceAccountName: projectObjectName(spec.projectName),
      priorityClassName: spec.yields ? BATCH_PRIORITY : SERVING_PRIORITY,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: uid,
        runAsGroup: uid,
        fsGroup: uid,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      terminationGracePeriodSeconds: graceSeconds(spec),
      topologySpreadConstraints: ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => ({
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { [LABELS.workload]: spec.workloadId } },
      })),
      ...makeNodeRules(spec),
      containers: [makeContainer(spec, settings)],
      volumes: [
        { name: 'tmp', emptyDir: { sizeLimit: TMP_LIMIT } },
        { name: 'cache', emptyDir: { sizeLimit: CACHE_LIMIT } },
        ...(spec.runtime.format === 'onnx'
          ? [{ name: 'artifact', secret: { secretName: workloadName(spec), defaultMode: 0o440 } }]
          : []),
      ],
    },
  };
}

/** The port on which replicas answer. */
export const portOf = ({ runtime, port }: WorkloadSpec): number =>
  runtime.format === 'onnx' ? MODEL_SERVER_PORT : (port ?? MODEL_SERVER_PORT);

function makeContainer(spec: WorkloadSpec, settings: ManifestSettings) {
  const quantities = quantitiesOf(spec);
  return {
    name: CONTAINER,
    ...programOf(spec, settings),
    imagePullPolicy: 'IfNotPresent',
    env: environmentOf(spec),
    ports: [{ name: PORT_NAME, containerPort: portOf(spec), protocol: 'TCP' }],
    // Requests equal to limits: what a replica costs is what it was given, and neighbours cannot take it.
    resources: { requests: quantities, limits: quantities },
    ...probesOf(spec),
    lifecycle: { preStop: { sleep: { seconds: noticeSeconds(spec) } } },
    securityContext: {
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'tmp', mountPath: '/tmp' },
      { name: 'cache', mountPath: CACHE_FOLDER },
      ...(spec.runtime.format === 'onnx' ? [{ name: 'artifact', mountPath: GRANT_FOLDER, readOnly: true }] : []),
    ],
  };
}

function programOf({ runtime, modelName, modelVersion }: WorkloadSpec, { modelServerImage }: ManifestSettings) {
  if (runtime.format === 'container') return { image: runtime.image };
  const names = ['--name', modelName, '--version', modelVersion];
  const listen = ['--host', '0.0.0.0', '--port', String(MODEL_SERVER_PORT)];
  return { image: modelServerImage ?? '', args: ['model-server', ...names, ...listen] };
}

type Variable =
  | { readonly name: string; readonly value?: string }
  | { readonly name: string; readonly valueFrom: Readonly<Record<string, unknown>> };

/** What the image's user brings comes first, so that it cannot replace what names the replica. An empty value is left out, as the API server does. */
function environmentOf(spec: WorkloadSpec): readonly Variable[] {
  const { runtime } = spec;
  const plain = {
    ...(runtime.format === 'onnx' ? grantEnvironment(runtime.artifactDigest) : runtime.environment),
    HOME: '/tmp',
    TMPDIR: '/tmp',
    PORT: String(portOf(spec)),
    PURSER_MODEL_NAME: spec.modelName,
    PURSER_MODEL_VERSION: spec.modelVersion,
  };
  const own = { PURSER_REPLICA: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.uid' } } };
  const secret = { PURSER_ARTIFACT_URL: { secretKeyRef: { name: workloadName(spec), key: 'url' } } };
  const sourced: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    ...own,
    ...(runtime.format === 'onnx' ? secret : {}),
  };
  const texts = Object.entries(plain)
    .filter(([name]) => !(name in sourced))
    .map(([name, value]) => (value === '' ? { name } : { name, value }));
  return [...texts, ...Object.entries(sourced).map(([name, valueFrom]) => ({ name, valueFrom }))];
}

const grantEnvironment = (digest: string): Readonly<Record<string, string>> => ({
  ORT_DISABLE_TELEMETRY: '1',
  PURSER_ARTIFACT_DIGEST: digest,
  PURSER_ARTIFACT_TOKEN_FILE: `${GRANT_FOLDER}/token`,
  PURSER_ARTIFACT_CACHE: CACHE_FOLDER,
});

/** The same path for all: that the replica may be sent requests. Only our own server is known to say apart whether it lives. */
function probesOf(spec: WorkloadSpec) {
  const probe = (path: string, periodSeconds: number, failureThreshold: number) => ({
    httpGet: { path, port: PORT_NAME, scheme: 'HTTP' },
    timeoutSeconds: PROBE_TIMEOUT_SECONDS,
    periodSeconds,
    failureThreshold,
    successThreshold: 1,
  });
  return {
    startupProbe: probe(spec.healthPath, 1, Math.max(1, seconds(spec.readinessTimeoutMs))),
    readinessProbe: probe(spec.healthPath, 2, 2),
    ...(spec.runtime.format === 'onnx' ? { livenessProbe: probe('/v2/health/live', 10, 6) } : {}),
  };
}

/**
 * How long a replica goes on as if nothing were while routers turn away. The built-in server ends by itself what it has begun; any other may
 * stop at once when it is told to, so it is told when its longest stream is over.
 */
const noticeSeconds = ({ runtime, drainTimeoutMs }: WorkloadSpec): number =>
  runtime.format === 'onnx' ? NOTICE_SECONDS : Math.max(NOTICE_SECONDS, seconds(drainTimeoutMs));

const graceSeconds = ({ drainTimeoutMs }: WorkloadSpec): number => NOTICE_SECONDS + seconds(drainTimeoutMs) + END_SECONDS;

const seconds = (ms: number): number => Math.ceil(ms / 1000);

/** In the form in which the API server writes them back. */
function quantitiesOf({ resources: { cpuMilli, memoryMib, accelerator } }: WorkloadSpec): Readonly<Record<string, string>> {
  return {
    cpu: cpuMilli % 1000 === 0 ? String(cpuMilli / 1000) : `${cpuMilli}m`,
    memory: binary(memoryMib),
    ...(accelerator ? { 'nvidia.com/gpu': String(accelerator.countMilli / 1000) } : {}),
  };
}

function binary(mib: number): string {
  const units = ['Mi', 'Gi', 'Ti', 'Pi'];
  let [amount, unit] = [mib, 0];
  while (amount % 1024 === 0 && unit < units.length - 1) [amount, unit] = [amount / 1024, unit + 1];
  return `${amount}${units[unit] ?? 'Mi'}`;
}
