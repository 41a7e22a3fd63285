// Two and more leaders on a bare API server, which stores what it is told and runs nothing: what is there after each of them acted. A leader
// that ends is one whose requests fail from the n-th on.
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import { workloadDigest } from '../../src/deployments/make-workload-spec.ts';
import type { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import type { KubernetesManifest } from '../../src/kubernetes/api/objects.ts';
import * as kinds from '../../src/kubernetes/api/resource.ts';
import type { Resource } from '../../src/kubernetes/api/resource.ts';
import type { KubernetesCluster } from '../../src/kubernetes/kubernetes-cluster.adapter.ts';
import { serviceName, workloadName } from '../../src/kubernetes/manifests/names.ts';
import { eventually } from '../support/eventually.ts';
import { containerWorkload, openKubernetesCluster, type TestKubernetesCluster } from '../support/kubernetes-cluster.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';

const IMAGE = `registry.example/model@sha256:${'a'.repeat(64)}`;

let server: BareApiServer;
let opened: TestKubernetesCluster;
let cluster: KubernetesCluster;
let api: KubernetesApi;

beforeAll(async () => {
  server = await startBareApiServer();
});
afterAll(() => server.stop());
beforeEach(() => {
  opened = openKubernetesCluster(server);
  ({ cluster, api } = opened);
});
afterEach(() => opened.close());

const deploymentOf = (spec: WorkloadSpec) =>
  api.get(kinds.KUBERNETES_DEPLOYMENTS, { namespace: opened.namespace, name: workloadName(spec) });
const told = async (spec: WorkloadSpec, by: KubernetesCluster = cluster) =>
  (await by.observe()).workloads.find(({ workloadId }) => workloadId === spec.workloadId);
const nothingIsThere = async (spec: WorkloadSpec): Promise<boolean> => {
  const ref = { namespace: opened.namespace, name: workloadName(spec) };
  const parts: readonly (readonly [Resource, string])[] = [
    [kinds.KUBERNETES_DEPLOYMENTS, ref.name],
    [kinds.POD_DISRUPTION_BUDGETS, ref.name],
    [kinds.SECRETS, ref.name],
    [kinds.SERVICES, serviceName(spec)],
  ];
  const found = await Promise.all(parts.map(([kind, name]) => api.get(kind, { ...ref, name })));
  return found.every((object) => object === null);
};
/** Writes some fields as somebody else does. */
const asOther = (spec: WorkloadSpec, fields: object, fieldManager = 'argocd-controller') => {
  const metadata = { namespace: opened.namespace, name: workloadName(spec) };
  const manifest: KubernetesManifest = { apiVersion: 'apps/v1', kind: 'Deployment', metadata, ...fields };
  return api.apply(kinds.KUBERNETES_DEPLOYMENTS, manifest, { fieldManager });
};

describe('Effects are fenced: a cluster', () => {
  test('refuses an older leader in another process to change, to make and to delete', async () => {
    const [spec, other] = [containerWorkload(IMAGE), containerWorkload(IMAGE)];
    const older = opened.another();
    expect(await older.apply(spec, { epoch: 3 })).toEqual({ outcome: 'applied' });
    expect(await cluster.apply({ ...spec, generation: 2 }, { epoch: 4 })).toEqual({ outcome: 'applied' });
    const stale = { outcome: 'stale_epoch', seenEpoch: 4 };
    await eventually(async () => (await told(spec, older))?.generation === 2);
    expect(await older.apply({ ...spec, generation: 3 }, { epoch: 3 })).toEqual(stale);
    expect(await opened.another().apply(other, { epoch: 3 })).toEqual(stale);
    expect(await opened.another().remove(spec.workloadId, { epoch: 3 })).toEqual(stale);
    expect((await deploymentOf(spec))?.metadata.annotations?.['purser.dev/generation']).toBe('2');
    expect(await nothingIsThere(other)).toBe(true);
  });

  test('a workload that is made twice at once is there once, by the newer leader', async () => {
    const spec = containerWorkload(IMAGE);
    const outcomes = await Promise.all([
      opened.another().apply(spec, { epoch: 5 }),
      cluster.apply({ ...spec, generation: 2, replicas: 2 }, { epoch: 6 }),
    ]);
    expect(outcomes[1].outcome).toBe('applied');
    const found = await deploymentOf(spec);
    expect(found?.metadata.annotations).toMatchObject({ 'purser.dev/generation': '2', 'purser.dev/epoch': '6' });
    expect(found?.spec?.replicas).toBe(2);
  });

  test('a namespace of somebody else is not taken', async () => {
    await server.namespace(opened.namespace);
    const result = await cluster.apply(containerWorkload(IMAGE), { epoch: 1 });
    expect(result).toMatchObject({ outcome: 'refused', reason: 'NAME_TAKEN' });
    const found = await api.get(kinds.NAMESPACES, { name: opened.namespace });
    expect(found?.metadata.labels?.['purser.dev/installation']).toBeUndefined();
    await server.deleteNamespace(opened.namespace);
  });

  test('409 storm: somebody who writes all the time ends in a refusal that names them', async () => {
    const spec = containerWorkload(IMAGE);
    await cluster.apply(spec, { epoch: 1 });
    const original = api.apply.bind(api);
    let count = 0;
    const contested = {
      ...spied(api),
      apply: async (...args: Parameters<KubernetesApi['apply']>) => {
        if (args[1].kind === 'Deployment') await asOther(spec, { metadata: metadataWith(spec, String((count += 1))) }, 'storm');
        return original(...args);
      },
    };
    const leader = opened.another({ api: contested as KubernetesApi });
    const result = await leader.apply({ ...spec, generation: 2 }, { epoch: 1 });
    expect(result).toMatchObject({ outcome: 'refused', reason: 'WRITE_CONFLICTS' });
    expect(result.outcome === 'refused' && result.message).toContain('storm');
    expect(count).toBeLessThan(10);
    expect(await cluster.apply({ ...spec, generation: 2 }, { epoch: 1 })).toEqual({ outcome: 'applied' });
  });
});

const metadataWith = (spec: WorkloadSpec, storm: string) => ({
  namespace: opened.namespace,
  name: workloadName(spec),
  annotations: { storm },
});

/** The same API as a plain object, to be changed in parts. */
const spied = (real: KubernetesApi) => ({
  get: real.get.bind(real),
  list: real.list.bind(real),
  listProjected: real.listProjected.bind(real),
  watch: real.watch.bind(real),
  delete: real.delete.bind(real),
  json: real.json.bind(real),
  text: real.text.bind(real),
});

describe('Fault: control plane killed at every API call; it', () => {
  const onnx = (): WorkloadSpec => {
    const runtime = {
      format: 'onnx' as const,
      artifactDigest: `sha256:${'b'.repeat(64)}`,
      artifactUrl: 'http://a.example/',
      artifactToken: 't',
    };
    return { ...containerWorkload(IMAGE), runtime, port: null, healthPath: '/v2/health/ready' };
  };

  test('leaves nothing that its successor does not finish', async () => {
    for (let after = 1; ; after += 1) {
      const [spec, counter] = [onnx(), { left: after }];
      const finished = await dying(counter)
        .apply(spec, { epoch: 2 * after })
        .then(isApplied, () => false);
      const successor = opened.another();
      await eventually(async () => {
        await successor.apply(spec, { epoch: 2 * after + 1 });
        return (await told(spec, successor))?.specDigest === workloadDigest(spec);
      });
      if (finished) break;
      expect(after).toBeLessThan(30);
    }
  });

  test('leaves nothing that its successor does not remove', async () => {
    for (let after = 1; ; after += 1) {
      const [spec, counter] = [onnx(), { left: after }];
      expect(await cluster.apply(spec, { epoch: 2 * after })).toEqual({ outcome: 'applied' });
      const finished = await dying(counter)
        .remove(spec.workloadId, { epoch: 2 * after })
        .then(isApplied, () => false);
      await removedBy(opened.another(), spec, 2 * after + 1);
      if (finished) break;
      expect(after).toBeLessThan(30);
    }
  });

  test('leaves nothing that its successor does not take back', async () => {
    for (let after = 1; ; after += 1) {
      const [spec, counter] = [onnx(), { left: after }];
      const finished = await dying(counter)
        .apply(spec, { epoch: 2 * after })
        .then(isApplied, () => false);
      await removedBy(opened.another(), spec, 2 * after + 1);
      if (finished) break;
      expect(after).toBeLessThan(30);
    }
  });

  /** As the loop does: what is seen is removed until it is seen no more. */
  async function removedBy(successor: KubernetesCluster, spec: WorkloadSpec, epoch: number): Promise<void> {
    await eventually(async () => {
      if (await told(spec, successor)) await successor.remove(spec.workloadId, { epoch });
      return (await told(spec, successor)) === undefined;
    });
    expect(await nothingIsThere(spec)).toBe(true);
  }

  const isApplied = ({ outcome }: { readonly outcome: string }) => outcome === 'applied';

  /** A process that ends at its n-th request that does something; what it only watches does not count. */
  function dying(counter: { left: number }): KubernetesCluster {
    const step =
      <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
      (...args: A): Promise<R> =>
        (counter.left -= 1) < 0 ? Promise.reject(new Error('killed')) : call(...args);
    const plain = spied(api);
    const mortal = { ...plain, get: step(plain.get), apply: step(api.apply.bind(api)), delete: step(plain.delete) };
    return opened.another({ api: mortal as KubernetesApi });
  }
});

describe('Living with others: fields that we do not own stay', () => {
  test('what others write stays, what is ours is put back', async () => {
    const spec = containerWorkload(IMAGE, { replicas: 2 });
    await cluster.apply(spec, { epoch: 1 });
    await eventually(async () => (await told(spec))?.specDigest === workloadDigest(spec));
    const labels = { 'argocd.argoproj.io/instance': 'models' };
    await asOther(spec, { metadata: { ...metadataWith(spec, '1'), labels } });
    await asOther(spec, { spec: { replicas: 7 } }, 'kubectl');
    await eventually(async () => (await told(spec))?.specDigest === '');
    expect(await cluster.apply(spec, { epoch: 1 })).toEqual({ outcome: 'applied' });
    const mended = await deploymentOf(spec);
    expect(mended?.spec?.replicas).toBe(2);
    expect(mended?.metadata.labels).toMatchObject(labels);
    expect(mended?.metadata.annotations).toMatchObject({ storm: '1' });
    await eventually(async () => (await told(spec))?.specDigest === workloadDigest(spec));
    expect(await cluster.apply(spec, { epoch: 1 })).toEqual({ outcome: 'unchanged' });
  });

  test.each([
    ['the service', kinds.SERVICES, serviceName],
    ['the disruption budget', kinds.POD_DISRUPTION_BUDGETS, workloadName],
    ['the network policy', kinds.NETWORK_POLICIES, () => 'purser-project'],
    ['the service account', kinds.SERVICE_ACCOUNTS, () => 'purser-project'],
    ['the quota', kinds.RESOURCE_QUOTAS, () => 'purser-replicas'],
  ] as const)('%s that somebody deleted is made again', async (_name, kind, nameOf) => {
    const spec = containerWorkload(IMAGE, { teamReplicaLimit: 4 });
    await cluster.apply(spec, { epoch: 1 });
    const ref = { namespace: opened.namespace, name: nameOf(spec) };
    await eventually(async () => (await told(spec))?.specDigest === workloadDigest(spec));
    expect(await api.delete(kind, ref)).toBe(true);
    await eventually(async () => (await told(spec))?.specDigest === '');
    expect(await cluster.apply(spec, { epoch: 1 })).toEqual({ outcome: 'applied' });
    expect(await api.get(kind, ref)).not.toBeNull();
  });

  test('a team without a quota any more has none in the cluster', async () => {
    const spec = containerWorkload(IMAGE, { teamReplicaLimit: 4 });
    const ref = { namespace: opened.namespace, name: 'purser-replicas' };
    await cluster.apply(spec, { epoch: 1 });
    expect((await api.get(kinds.RESOURCE_QUOTAS, ref))?.spec?.hard).toEqual({ pods: '8' });
    await cluster.apply({ ...spec, teamReplicaLimit: null }, { epoch: 1 });
    expect(await api.get(kinds.RESOURCE_QUOTAS, ref)).toBeNull();
  });

  test('an autoscaler decides the number of replicas, and a workload that it scales is no drift', async () => {
    const spec = containerWorkload(IMAGE, { replicas: 2 });
    await cluster.apply(spec, { epoch: 1 });
    const name = workloadName(spec);
    await server.api.create(`/apis/autoscaling/v2/namespaces/${opened.namespace}/horizontalpodautoscalers`, {
      metadata: { name },
      spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name }, maxReplicas: 9 },
    });
    const scale = `/apis/apps/v1/namespaces/${opened.namespace}/deployments/${name}/scale?fieldManager=kube-controller-manager`;
    await server.api.patch(scale, { spec: { replicas: 5 } });
    const next = { ...spec, generation: 2, readinessTimeoutMs: 30_000 };
    await eventually(async () => {
      await cluster.apply(next, { epoch: 1 });
      return (await deploymentOf(spec))?.metadata.annotations?.['purser.dev/generation'] === '2';
    });
    expect((await deploymentOf(spec))?.spec?.replicas).toBe(5);
    await eventually(async () => (await told(spec))?.specDigest === workloadDigest(next));
  });

  describe('Manifests: an existing Deployment on an API server alone', () => {
    const labels = { app: 'web' };
    let ref: { readonly namespace: string; readonly name: string };
    let spec: WorkloadSpec;
    const live = async () => (await api.get(kinds.KUBERNETES_DEPLOYMENTS, ref))!;
    const serviceIsThere = async () =>
      (await api.get(kinds.SERVICES, { namespace: ref.namespace, name: serviceName(spec) })) !== null;

    beforeEach(async () => {
      ref = { namespace: await server.namespace(`existing-${randomUUID().slice(0, 8)}`), name: 'web' };
      const template = { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'nginx' }] } };
      const body = { metadata: { name: 'web', labels }, spec: { replicas: 3, selector: { matchLabels: labels }, template } };
      await server.api.create(`/apis/apps/v1/namespaces/${ref.namespace}/deployments`, body);
      spec = { ...containerWorkload('nginx', { replicas: 3 }), adopt: ref };
    });
    afterEach(() => server.deleteNamespace(ref.namespace));

    const allow = () => server.kubectl('annotate', '-n', ref.namespace, 'deployment', 'web', 'purser.dev/adoptable-by=team');

    test('is taken over only if its owner allows it', async () => {
      expect(await cluster.apply(spec, { epoch: 1 })).toMatchObject({ reason: 'ADOPTION_NOT_ALLOWED' });
      expect((await live()).metadata.labels).toEqual(labels);
    });

    test('is taken over without a change of its pods, scaled, and let go as it is', async () => {
      const before = await live();
      await allow();
      expect(await cluster.apply(spec, { epoch: 1 })).toEqual({ outcome: 'applied' });
      expect(await cluster.apply(spec, { epoch: 1 })).toEqual({ outcome: 'unchanged' });
      await eventually(async () => (await told(spec))?.specDigest === workloadDigest(spec));
      expect((await live()).spec).toEqual(before.spec);
      expect(await serviceIsThere()).toBe(true);
      await cluster.apply({ ...spec, generation: 2, replicas: 4 }, { epoch: 1 });
      expect((await live()).spec?.replicas).toBe(4);
      expect(await cluster.remove(spec.workloadId, { epoch: 1 })).toEqual({ outcome: 'applied' });
      const left = await live();
      expect(left.spec).toEqual({ ...before.spec, replicas: 4 });
      expect([left.metadata.labels, await serviceIsThere()]).toEqual([labels, false]);
      expect(await told(spec)).toBeUndefined();
    });
  });

  test('workloads that this cluster can never run are refused with what to do', async () => {
    const spec = containerWorkload('registry.example/model:latest');
    expect(await cluster.apply(spec, { epoch: 1 })).toMatchObject({ outcome: 'refused', reason: 'IMAGE_NOT_PINNED' });
    const command: WorkloadSpec = { ...spec, runtime: { format: 'process', command: ['x'], environment: {} } };
    expect(await cluster.apply(command, { epoch: 1 })).toMatchObject({ reason: 'PROCESS_NOT_ALLOWED' });
    const part = { model: 'T4', countMilli: 500, memoryMib: 0 };
    const shared = { ...containerWorkload(IMAGE), resources: { cpuMilli: 1, memoryMib: 1, accelerator: part } };
    expect(await cluster.apply(shared, { epoch: 1 })).toMatchObject({ reason: 'FRACTIONAL_ACCELERATOR' });
  });
});
