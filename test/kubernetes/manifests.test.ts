// A table of workloads on a bare API server: every object of each is checked by the server (its OpenAPI, its defaults, its admission), once
// as a dry run and once stored, and compared with what the server made of it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ReplicaRuntime, WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import type { KubernetesManifest } from '../../src/kubernetes/api/objects.ts';
import * as kinds from '../../src/kubernetes/api/resource.ts';
import { pathOf, type Resource } from '../../src/kubernetes/api/resource.ts';
import {
  makeNamespace,
  makeNetworkPolicy,
  makePriorityClasses,
  makeQuota,
  makeServiceAccount,
} from '../../src/kubernetes/manifests/make-shared-objects.ts';
import { makeArtifactSecret, makeWorkloadObjects } from '../../src/kubernetes/manifests/make-workload-objects.ts';
import type { ManifestSettings } from '../../src/kubernetes/manifests/manifest-settings.ts';
import { isAsWanted } from '../../src/kubernetes/workloads/owned-fields.ts';
import { clock, random } from '../support/kubernetes-world.ts';
import { workload } from '../support/local-runtime.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';

const PINNED = `registry.example/team/model@sha256:${'a'.repeat(64)}`;
const container: ReplicaRuntime = { format: 'container', image: PINNED, environment: { MODE: 'fast', EMPTY: '', HOME: '/root' } };
const onnx: ReplicaRuntime = {
  format: 'onnx',
  artifactDigest: `sha256:${'b'.repeat(64)}`,
  artifactUrl: 'http://purser.example/artifact',
  artifactToken: 'secret',
};
const settings: ManifestSettings = {
  installation: 'test',
  namespacePrefix: 'purser',
  modelServerImage: `registry.example/purser@sha256:${'c'.repeat(64)}`,
  routerSources: { namespace: 'purser-system', cidrs: ['10.0.0.0/8', 'fd00::/8'] },
};

const SPECS: readonly (readonly [string, ReplicaRuntime, Partial<WorkloadSpec>])[] = [
  ['the built-in server', onnx, {}],
  ['a container of the inference protocol', container, { port: 8080, protocol: 'oip', healthPath: '/v2/health/ready' }],
  ['a container of the chat protocol', container, { port: 8000, protocol: 'openai', healthPath: '/health?deep=1' }],
  ['any container', container, { port: 65_535, protocol: 'http', healthPath: '/' }],
  ['no replicas', container, { replicas: 0 }],
  ['many replicas', container, { replicas: 40 }],
  ['spot nodes of a pool', container, { capacityType: 'spot', nodeSelector: { 'purser.dev/pool': 'cheap' }, poolName: 'cheap' }],
  ['reserved nodes', container, { capacityType: 'reserved', poolName: 'reserved' }],
  [
    'two accelerators',
    container,
    { resources: { cpuMilli: 8_000, memoryMib: 65_536, accelerator: { model: 'H100', countMilli: 2_000, memoryMib: 81_920 } } },
  ],
  ['a part of a CPU and an odd memory', container, { resources: { cpuMilli: 1_250, memoryMib: 1_000, accelerator: null } }],
  ['a whole terabyte', container, { resources: { cpuMilli: 64_000, memoryMib: 1_048_576, accelerator: null } }],
  ['streams of an hour', container, { drainTimeoutMs: 3_605_000, readinessTimeoutMs: 1_800_000 }],
  [
    'the longest names',
    container,
    { modelName: `m${'-x'.repeat(31)}`, teamName: `t${'-y'.repeat(31)}`, projectName: 'p'.repeat(63) },
  ],
  ['names that begin with a digit', container, { modelName: '7b', teamName: '1', projectName: '2' }],
];

const made = (spec: WorkloadSpec): [Resource, KubernetesManifest][] => {
  const { service, disruptionBudget, deployment } = makeWorkloadObjects(spec, { settings, uid: 1_900_000_001 });
  const [quota, secret] = [makeQuota(spec, settings), makeArtifactSecret(spec, settings)];
  return [
    ...makePriorityClasses().map((one): [Resource, KubernetesManifest] => [kinds.PRIORITY_CLASSES, one]),
    [kinds.NAMESPACES, makeNamespace(spec, settings)],
    ...(quota ? [[kinds.RESOURCE_QUOTAS, quota] as [Resource, KubernetesManifest]] : []),
    [kinds.SERVICE_ACCOUNTS, makeServiceAccount(spec, settings, 1_900_000_001)],
    [kinds.NETWORK_POLICIES, makeNetworkPolicy(spec, settings)],
    ...(secret ? [[kinds.SECRETS, secret] as [Resource, KubernetesManifest]] : []),
    [kinds.SERVICES, service],
    [kinds.POD_DISRUPTION_BUDGETS, disruptionBudget],
    [kinds.KUBERNETES_DEPLOYMENTS, deployment],
  ];
};

let server: BareApiServer;
let api: KubernetesApi;

beforeAll(async () => {
  server = await startBareApiServer();
  api = KubernetesApi.of({ kind: 'kubeconfig_file', file: server.kubeconfig, context: null }, { clock, random });
});
afterAll(async () => {
  await api.close();
  await server.stop();
});

describe.each(SPECS)('Manifests: %s', (_name, runtime, more) => {
  const spec = workload(runtime, { teamReplicaLimit: 10, ...more });

  test('the API server takes every object, and its defaults do not look like drift', async () => {
    for (const [resource, manifest] of made(spec)) {
      const { name, namespace = null } = manifest.metadata;
      const dry = '?dryRun=All&fieldManager=purser&fieldValidation=Strict';
      await server.api.patch(`${pathOf(resource, { name, namespace })}${dry}`, manifest, 'apply');
      const stored = await api.apply(resource, manifest);
      expect(isAsWanted(manifest, stored), `${manifest.kind} as stored: ${JSON.stringify(stored)}`).toBe(true);
      const again = await api.apply(resource, manifest);
      expect(again.metadata.resourceVersion).toBe(stored.metadata.resourceVersion);
    }
  });

  test('pod security admits its pods where only restricted ones may run', async () => {
    const [namespace, deployment] = [
      makeNamespace(spec, settings),
      makeWorkloadObjects(spec, { settings, uid: 1_900_000_001 }).deployment,
    ];
    const { template } = deployment['spec'] as { template: { metadata: object; spec: object } };
    const account = makeServiceAccount(spec, settings, 1_900_000_001);
    for (const priorityClass of makePriorityClasses()) await api.apply(kinds.PRIORITY_CLASSES, priorityClass);
    await api.apply(kinds.NAMESPACES, namespace);
    await api.apply(kinds.SERVICE_ACCOUNTS, account);
    const metadata = { ...template.metadata, name: 'one', namespace: namespace.metadata.name };
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec };
    const asked = `/api/v1/namespaces/${namespace.metadata.name}/pods?dryRun=All`;
    await server.api.create(asked, pod);
    const loose = { ...pod, spec: { ...template.spec, hostNetwork: true } };
    await expect(server.api.create(asked, loose)).rejects.toMatchObject({ status: 403 });
  });
});

const CHANGES: readonly (readonly [string, { readonly metadata?: object; readonly spec?: object }])[] = [
  ['another image', { spec: { template: { spec: { containers: [{ name: 'replica', image: 'evil' }] } } } }],
  ['fewer replicas', { spec: { replicas: 0 } }],
  ['no drain', { spec: { template: { spec: { terminationGracePeriodSeconds: 5 } } } }],
  ['another label', { metadata: { labels: { 'purser.dev/team': 'other' } } }],
];

describe('Manifests: what somebody changes is drift', () => {
  test.each(CHANGES)('%s', async (_name, change) => {
    const spec = workload(container, { teamName: 'drift' });
    for (const [resource, manifest] of made(spec)) await api.apply(resource, manifest);
    const { deployment } = makeWorkloadObjects(spec, { settings, uid: 1_900_000_001 });
    const { apiVersion, kind, metadata } = deployment;
    const foreign = {
      apiVersion,
      kind,
      ...change,
      metadata: { name: metadata.name, namespace: metadata.namespace ?? '', ...change.metadata },
    };
    const changed = await api.apply(kinds.KUBERNETES_DEPLOYMENTS, foreign, { fieldManager: 'somebody' });
    expect(isAsWanted(deployment, changed)).toBe(false);
    expect(isAsWanted(deployment, await api.apply(kinds.KUBERNETES_DEPLOYMENTS, deployment))).toBe(true);
  });

  test('what others add is not', async () => {
    const spec = workload(container, { teamName: 'drift' });
    const { deployment } = makeWorkloadObjects(spec, { settings, uid: 1_900_000_001 });
    await api.apply(kinds.NAMESPACES, makeNamespace(spec, settings));
    await api.apply(kinds.KUBERNETES_DEPLOYMENTS, deployment);
    const { apiVersion, kind, metadata } = deployment;
    const labels = { 'argocd.argoproj.io/instance': 'models' };
    const template = {
      metadata: { annotations: { 'sidecar.example/inject': 'true' } },
      spec: { containers: [{ name: 'sidecar', image: 'x' }] },
    };
    const foreign = {
      apiVersion,
      kind,
      metadata: { name: metadata.name, namespace: metadata.namespace ?? '', labels },
      spec: { template },
    };
    await api.apply(kinds.KUBERNETES_DEPLOYMENTS, foreign, { fieldManager: 'argocd-controller', force: false });
    const mended = await api.apply(kinds.KUBERNETES_DEPLOYMENTS, deployment);
    expect(isAsWanted(deployment, mended)).toBe(true);
    expect(mended.metadata.labels).toMatchObject(labels);
    expect(mended.spec?.template.spec.containers.map(({ name }) => name)).toEqual(['replica', 'sidecar']);
  });
});
