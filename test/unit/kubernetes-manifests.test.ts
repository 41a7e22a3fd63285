// Pure manifests and what is read from pods, without a cluster: the API server's own opinion of them is asked in test/kubernetes.
import { describe, expect, test } from 'vitest';
import type { ReplicaRuntime, WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import type { KubernetesObject, Pod } from '../../src/kubernetes/api/objects.ts';
import { makeNetworkPolicy, makeQuota } from '../../src/kubernetes/manifests/make-shared-objects.ts';
import { makeArtifactSecret, makeWorkloadObjects } from '../../src/kubernetes/manifests/make-workload-objects.ts';
import type { ManifestSettings } from '../../src/kubernetes/manifests/manifest-settings.ts';
import { serviceName, teamNamespace, workloadName } from '../../src/kubernetes/manifests/names.ts';
import { pageOf } from '../../src/kubernetes/replicas/pod-logs.ts';
import { userOfProject } from '../../src/kubernetes/manifests/project-users.ts';
import { follow, giveUp, type PodView } from '../../src/kubernetes/replicas/replica-history.ts';
import { toldSpec } from '../../src/kubernetes/workloads/told-spec.ts';
import { workload } from '../support/local-runtime.ts';

const settings: ManifestSettings = {
  installation: 'test',
  namespacePrefix: 'purser',
  modelServerImage: 'purser:1',
  routerSources: { namespace: null, cidrs: [] },
};
const container: ReplicaRuntime = { format: 'container', image: 'x', environment: {} };
const onnx: ReplicaRuntime = { format: 'onnx', artifactDigest: 'd', artifactUrl: 'u', artifactToken: 'very-secret' };
const made = (spec: WorkloadSpec) => makeWorkloadObjects(spec, { settings, uid: 7 });

interface Template {
  readonly spec: {
    readonly terminationGracePeriodSeconds: number;
    readonly affinity: unknown;
    readonly tolerations: readonly { readonly key: string }[];
    readonly containers: readonly [
      { readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } } },
    ];
  };
}
const templateOf = (spec: WorkloadSpec) => (made(spec).deployment['spec'] as { readonly template: Template }).template.spec;

describe('Manifests: pure functions', () => {
  test('a container drains longer than its longest stream before it is told to end, the built-in server at once', () => {
    for (const drainTimeoutMs of [1, 999, 5_000, 65_001, 3_605_000]) {
      const drained = templateOf(workload(container, { drainTimeoutMs }));
      const { seconds } = drained.containers[0].lifecycle.preStop.sleep;
      expect(seconds * 1000).toBeGreaterThanOrEqual(drainTimeoutMs);
      expect(drained.terminationGracePeriodSeconds).toBeGreaterThan(seconds);
      const own = templateOf(workload(onnx, { drainTimeoutMs }));
      expect(own.containers[0].lifecycle.preStop.sleep.seconds).toBe(2);
      expect((own.terminationGracePeriodSeconds - 2) * 1000).toBeGreaterThan(drainTimeoutMs);
    }
  });

  test('replicas on demand keep off spot nodes, spot replicas are let onto them', () => {
    const onDemand = templateOf(workload(container));
    expect(JSON.stringify(onDemand.affinity)).toContain('"operator":"NotIn","values":["spot"]');
    expect(onDemand.tolerations.map(({ key }) => key)).toEqual(['purser.dev/pool']);
    const spot = templateOf(workload(container, { capacityType: 'spot' }));
    expect(JSON.stringify(spot.affinity)).toContain('"operator":"In","values":["spot"]');
    expect(spot.tolerations.map(({ key }) => key)).toContain('purser.dev/capacity-type');
  });

  test('a token is in the secret and nowhere else, and does not change the rest', () => {
    const spec = workload(onnx);
    expect(JSON.stringify(made(spec))).not.toContain('very-secret');
    const renewed = { ...spec, runtime: { ...onnx, artifactToken: 'new' } };
    expect(made(renewed)).toEqual(made(spec));
    const secret = makeArtifactSecret(spec, settings) as { readonly data: { readonly token: string } } | null;
    expect(Buffer.from(secret?.data.token ?? '', 'base64').toString()).toBe('very-secret');
    expect(makeArtifactSecret(workload(container), settings)).toBeNull();
  });

  test('what was told is read back, and nothing from what somebody spoilt', () => {
    const spec = workload(container, { nodeSelector: { b: '1', a: '2' } });
    const told = { ...made(spec).deployment, metadata: { ...made(spec).deployment.metadata, uid: 'u', resourceVersion: '1' } };
    expect(toldSpec(told as KubernetesObject)).toEqual(spec);
    expect(made(toldSpec(told as KubernetesObject)!)).toEqual(made(spec));
    const spoilt = { ...told, metadata: { ...told.metadata, annotations: { 'purser.dev/workload-spec': '{"replicas":-1}' } } };
    expect(toldSpec(spoilt)).toBeNull();
  });

  test('without routers nobody is let in, and without a limit there is no quota', () => {
    const spec = workload(container);
    expect(makeNetworkPolicy(spec, settings)['spec']).toMatchObject({ policyTypes: ['Ingress'] });
    expect(makeNetworkPolicy(spec, settings)['spec']).not.toHaveProperty('ingress');
    expect(makeQuota(spec, settings)).toBeNull();
  });

  test('names are labels of 63 characters at most, and never those of another', () => {
    const long = 'a'.repeat(62);
    const [one, two] = ['1', '2'].map((workloadId) => workload(container, { modelName: `${long}z`, workloadId }));
    expect(workloadName(one!)).not.toBe(workloadName(two!));
    for (const spec of [one!, workload(container, { modelName: '7b' })])
      expect(serviceName(spec)).toMatch(/^[a-z][a-z0-9-]{1,61}[a-z0-9]$/);
    expect(teamNamespace('purser', `${long}x`)).not.toBe(teamNamespace('purser', `${long}y`));
    expect(teamNamespace('purser', long).length).toBeLessThanOrEqual(63);
  });

  test('two projects never share a user', () => {
    const first = userOfProject('project', new Set());
    expect(userOfProject('project', new Set())).toBe(first);
    expect(userOfProject('project', new Set([first, first + 1]))).toBe(first + 2);
    expect(first).toBeLessThan(2 ** 31);
  });
});

describe('Cluster adapter: lives of pods', () => {
  const at = (second: number) => Date.parse('2026-01-01T00:00:00Z') + second * 1000;
  const text = (second: number) => new Date(at(second)).toISOString();
  const condition = (type: string, ok: boolean, second: number) => ({
    type,
    status: ok ? 'True' : 'False',
    lastTransitionTime: text(second),
  });
  const pod = (ready: boolean, since: number, more: Partial<Pod['metadata']> = {}): Pod => ({
    metadata: { name: 'p', namespace: 'n', uid: 'u', resourceVersion: '1', ...more },
    spec: { nodeName: 'node', containers: [{ name: 'replica' }] },
    status: {
      podIP: '10.0.0.1',
      conditions: [condition('PodScheduled', true, 0), condition('Initialized', true, 1), condition('Ready', ready, since)],
    },
  });
  const view = (second: number, more: Partial<PodView> = {}): PodView => ({
    ...{ workloadId: 'w', revisionId: 'r', adoptedAt: null, port: 80 },
    ...{ endpointReady: true, leaving: false, unheard: false, watched: true },
    now: at(second) + 300,
    ...more,
  });
  const inWords = (record: ReturnType<typeof follow>) =>
    record?.transitions.map(({ state, at: when, estimated }) => `${state} ${(when - at(0)) / 1000}${estimated ? ' or so' : ''}`);

  test('what is watched is dated by our clock', () => {
    let record = follow(null, pod(false, 1), view(0, { endpointReady: false }));
    record = follow(record, pod(true, 9), view(9, { endpointReady: false }));
    record = follow(record, pod(true, 9), view(10));
    record = follow(record, pod(true, 9, { deletionTimestamp: text(50), deletionGracePeriodSeconds: 30 }), view(20));
    expect(inWords(record)).toEqual(['starting 0', 'serving 10.3', 'draining 20.3']);
    expect(giveUp(record!, { at: at(25), estimated: false })).toMatchObject({ capacityUntil: at(25), untilEstimated: false });
    expect(record?.address).toBe('10.0.0.1:80');
  });

  test('what is found is dated by the pod, and marked', () => {
    const found = view(100, { watched: false });
    expect(inWords(follow(null, pod(true, 9), found))).toEqual(['starting 0 or so', 'serving 9 or so']);
    expect(inWords(follow(null, pod(false, 60), found))).toEqual(['starting 0 or so', 'unready 60 or so']);
    expect(inWords(follow(null, pod(false, 1), found))).toEqual(['starting 0 or so']);
  });

  test('what was taken over costs from then on, however long it ran before, and what started later from its own start', () => {
    const adopted = follow(null, pod(true, 9), view(100, { watched: false, adoptedAt: at(99) }));
    expect(adopted?.capacityFrom).toBe(at(99));
    expect(inWords(adopted)).toEqual(['starting 99', 'serving 99']);
    const later = follow(null, pod(true, 9), view(100, { watched: false, adoptedAt: at(-50) }));
    expect(later?.capacityFrom).toBe(at(0));
    expect(inWords(later)).toEqual(['starting 0 or so', 'serving 9 or so']);
  });

  test('what was let go and taken over again is there again; what ended stays ended', () => {
    const gone = giveUp(follow(null, pod(true, 9), view(20, { adoptedAt: at(10) }))!, { at: at(30), estimated: false });
    const later = (adoptedAt: number) => follow(gone, pod(true, 9), view(50, { watched: false, adoptedAt: at(adoptedAt) }));
    expect(later(40)).toMatchObject({ capacityFrom: at(40), capacityUntil: null });
    expect(later(10)).toBe(gone);
  });

  test('a pod without a node is no replica, and one on a node that nobody hears of is sent nothing', () => {
    expect(follow(null, { ...pod(true, 9), spec: { containers: [] } }, view(10))).toBeNull();
    expect(inWords(follow(null, pod(true, 9), view(10, { unheard: true })))).toEqual(['starting 0']);
    const served = follow(null, pod(true, 9), view(10));
    expect(inWords(follow(served, pod(true, 9), view(20, { unheard: true })))?.at(-1)).toBe('unready 20.3');
    expect(inWords(follow(served, pod(true, 9), view(20, { leaving: true })))?.at(-1)).toBe('draining 20.3');
  });
});

describe('Cluster adapter: pages of logs', () => {
  const lines = [
    '2026-01-01T00:00:00.1Z a',
    '2026-01-01T00:00:00.12Z b',
    '2026-01-01T00:00:00.120000001Z c',
    '2026-01-01T00:00:01Z ',
  ].join('\n');

  test('go on after the cursor, whatever zeros the times leave out', () => {
    const first = pageOf(lines, { cursor: null, limit: 3 });
    expect(first.lines.map(({ text }) => text)).toEqual(['b', 'c', '']);
    expect(pageOf(lines, { cursor: first.cursor, limit: 3 })).toEqual({ lines: [], cursor: first.cursor });
    const next = pageOf(lines, { cursor: '2026-01-01T00:00:00.12Z', limit: 1 });
    expect(next).toMatchObject({ lines: [{ text: 'c' }], cursor: '2026-01-01T00:00:00.120000001Z' });
  });
});
