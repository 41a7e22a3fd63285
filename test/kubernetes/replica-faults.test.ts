// Replicas that go wrong in each way on real nodes: what an observation says of them, with the cluster's words and the next sensible act.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ObservedReplica, ObservedWorkload, WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import { eventually } from '../support/eventually.ts';
import {
  containerWorkload,
  openKubernetesCluster,
  pinnedTestImage,
  type TestKubernetesCluster,
} from '../support/kubernetes-cluster.ts';
import { theCluster } from './cluster/testing.ts';

const access = await theCluster();
const PATIENCE_MS = 90_000;

describe.runIf(access.has('pods'))('Fault: a replica that', () => {
  let opened: TestKubernetesCluster;
  let image: string;
  const fence = { epoch: 1 };
  const replicaOf = async ({ workloadId }: WorkloadSpec): Promise<ObservedReplica | undefined> =>
    (await opened.cluster.observe()).replicas.find((replica) => replica.workloadId === workloadId);
  const workloadOf = async (spec: WorkloadSpec): Promise<ObservedWorkload | undefined> =>
    (await opened.cluster.observe()).workloads.find(({ workloadId }) => workloadId === spec.workloadId);
  const applied = async (spec: WorkloadSpec): Promise<WorkloadSpec> => {
    expect(await opened.cluster.apply(spec, fence)).toEqual({ outcome: 'applied' });
    return spec;
  };
  const serving = (spec: WorkloadSpec) =>
    eventually(async () => {
      const replica = await replicaOf(spec);
      return replica?.state === 'serving' && replica;
    }, PATIENCE_MS);
  const says = (spec: WorkloadSpec, words: RegExp, failing: boolean) =>
    eventually(async () => {
      const replica = await replicaOf(spec);
      expect(replica?.message).toMatch(words);
      expect(replica?.failing).toBe(failing);
      return replica!;
    }, PATIENCE_MS);
  const waitsFor = (spec: WorkloadSpec, problem: object) =>
    eventually(async () => {
      expect((await workloadOf(spec))?.problem).toMatchObject(problem);
    }, PATIENCE_MS);

  beforeAll(async () => {
    image = await pinnedTestImage();
    opened = openKubernetesCluster(access);
  });
  afterAll(() => opened.close());

  test('has an image that does not exist is failing, and the registry says why', async () => {
    const spec = await applied(containerWorkload(`purser.test/absent@sha256:${'0'.repeat(64)}`, { readinessTimeoutMs: 5_000 }));
    await says(spec, /^ImagePullFailed: .*purser\.test\/absent.*Check that the image exists/s, true);
  });

  test('is in a crash loop is failing, with its status', async () => {
    const spec = await applied(containerWorkload(image, { environment: { CRASH_AFTER_MS: '50' } }));
    const replica = await says(spec, /^CrashLoop: it exited with status 1.*Its log says more/s, true);
    expect(replica.restarts).toBeGreaterThan(0);
  });

  test('meets the OOM kill is failing, with its limit', async () => {
    const spec = await applied(containerWorkload(image, { environment: { EAT_AFTER_MS: '100' } }));
    await says(spec, /^OOMKilled: it needed more than its 32 MiB/, true);
  });

  test('is never ready is failing, with its path', async () => {
    const spec = await applied(containerWorkload(image, { environment: { NEVER_READY: '1' }, readinessTimeoutMs: 4_000 }));
    await says(spec, /^NeverReady: \/healthz did not answer 2xx within 4 s/, true);
  });

  test('stops answering its probe is unready and says so, and serves again by itself', async () => {
    const spec = await applied(containerWorkload(image));
    const { address } = await serving(spec);
    await fetch(`http://${address ?? ''}/ready?value=false`);
    await says(spec, /^NotReady: \/healthz does not answer 2xx/, false);
    await fetch(`http://${address ?? ''}/ready?value=true`);
    const replica = await serving(spec);
    expect(replica.transitions.map(({ state }) => state)).toEqual(['starting', 'serving', 'unready', 'serving']);
    expect(replica.transitions.every(({ estimated }) => !estimated)).toBe(true);
  });

  test('is known to another process with the same life, its times estimated', async () => {
    const spec = await applied(containerWorkload(image));
    const before = await serving(spec);
    await eventually(() => Date.now() - before.transitions.at(-1)!.at > 3_000);
    const after = (await opened.another().observe()).replicas.find(({ replicaId }) => replicaId === before.replicaId);
    expect(after).toMatchObject({ state: 'serving', address: before.address, capacityFrom: before.capacityFrom });
    expect(after?.transitions.map(({ state, estimated }) => [state, estimated])).toEqual([
      ['starting', true],
      ['serving', true],
    ]);
    for (const [n, { at }] of before.transitions.entries()) expect(Math.abs(after!.transitions[n]!.at - at)).toBeLessThan(2_000);
  });

  test('is unschedulable waits, and the scheduler says for what', async () => {
    const spec = await applied(
      containerWorkload(image, { resources: { cpuMilli: 1_000_000, memoryMib: 32, accelerator: null } }),
    );
    await waitsFor(spec, {
      reason: 'Unschedulable',
      failing: false,
      message: expect.stringMatching(/Insufficient cpu.*Add nodes that fit/s) as string,
    });
    expect(await replicaOf(spec)).toBeUndefined();
  });

  test('finds its quota exhausted waits, and the API server says which', async () => {
    const spec = containerWorkload(image, { teamName: 'poor' });
    const namespace = `${opened.installation}-poor`;
    await applied({ ...spec, replicas: 0 });
    await access.api.create(`/api/v1/namespaces/${namespace}/resourcequotas`, {
      metadata: { name: 'nothing' },
      spec: { hard: { pods: '0' } },
    });
    await opened.cluster.apply({ ...spec, generation: 2 }, fence);
    await waitsFor(spec, {
      reason: 'QuotaExceeded',
      failing: false,
      message: expect.stringMatching(/exceeded quota: nothing.*Raise the quota/s) as string,
    });
  });

  test('meets an admission refusal is failing, in the words of the rule', async () => {
    const spec = await applied(containerWorkload(image, { teamName: 'strict', replicas: 0 }));
    const name = `${opened.installation}-no-pods`;
    const base = '/apis/admissionregistration.k8s.io/v1';
    const rule = { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods', 'configmaps'] };
    const selector = { matchLabels: { 'kubernetes.io/metadata.name': `${opened.installation}-strict` } };
    await access.api.create(`${base}/validatingadmissionpolicies`, {
      metadata: { name },
      spec: {
        matchConstraints: { resourceRules: [rule], namespaceSelector: selector },
        validations: [{ expression: 'false', message: 'images must be signed by the security team' }],
      },
    });
    await access.api.create(`${base}/validatingadmissionpolicybindings`, {
      metadata: { name },
      spec: { policyName: name, validationActions: ['Deny'] },
    });
    try {
      const probe = `/api/v1/namespaces/${opened.installation}-strict/configmaps?dryRun=All`;
      await eventually(
        () => expect(access.api.create(probe, { metadata: { name: 'probe' } })).rejects.toThrow('signed'),
        PATIENCE_MS,
      );
      await applied({ ...spec, generation: 2, replicas: 1 });
      await waitsFor(spec, {
        reason: 'AdmissionRefused',
        failing: true,
        message: expect.stringContaining('images must be signed by the security team') as string,
      });
    } finally {
      await access.api.delete(`${base}/validatingadmissionpolicybindings/${name}`);
      await access.api.delete(`${base}/validatingadmissionpolicies/${name}`);
    }
  });

  test('meets an admission refusal when it is described is refused, in the words of the rule', async () => {
    const spec = containerWorkload(image, { teamName: 'stricter', replicas: 0 });
    const namespace = `${opened.installation}-stricter`;
    await applied(spec);
    await access.api.create(`/api/v1/namespaces/${namespace}/resourcequotas`, {
      metadata: { name: 'no-more' },
      spec: { hard: { 'count/deployments.apps': '1' } },
    });
    const another = containerWorkload(image, { teamName: 'stricter' });
    await eventually(async () => {
      const result = await opened.cluster.apply(another, fence);
      await opened.cluster.remove(another.workloadId, fence);
      expect(result).toMatchObject({ outcome: 'refused', reason: 'QUOTA_EXCEEDED' });
      expect(result.outcome === 'refused' && result.message).toContain('exceeded quota: no-more');
    }, PATIENCE_MS);
  });

  test('is evicted is given up and says so, and another one takes its place', async () => {
    const spec = await applied(containerWorkload(image));
    const { replicaId } = await serving(spec);
    const { items } = await access.api.get<{ items: { metadata: { name: string; namespace: string } }[] }>(
      `/api/v1/namespaces/${opened.namespace}/pods?labelSelector=purser.dev/workload%3D${spec.workloadId}`,
    );
    const path = `/api/v1/namespaces/${opened.namespace}/pods/${items[0]!.metadata.name}/status`;
    // As a kubelet writes it when its node runs out of something.
    const status = { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: ephemeral-storage. ' };
    await eventually(async () => {
      // The kubelet, which knows nothing of it, may have written over it.
      const { status: now } = await access.api
        .get<{ status: { phase: string } }>(path)
        .catch(() => ({ status: { phase: 'Failed' } }));
      if (now.phase !== 'Failed') await access.api.patch(path, { status });
      const { replicas } = await opened.cluster.observe();
      const old = replicas.find((replica) => replica.replicaId === replicaId);
      expect(old?.message).toMatch(/^Evicted: The node was low on resource: ephemeral-storage/);
      expect(old?.capacityUntil).not.toBeNull();
      expect(
        replicas.some(
          ({ workloadId, state, capacityUntil }) =>
            workloadId === spec.workloadId && state === 'serving' && capacityUntil === null,
        ),
      ).toBe(true);
    }, PATIENCE_MS);
  });
});
