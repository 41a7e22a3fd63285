// A Deployment that somebody else made, with pods that run on real nodes: taken over, seen as replicas, and let go, without a restart.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import {
  containerWorkload,
  openKubernetesCluster,
  pinnedTestImage,
  type TestKubernetesCluster,
} from '../support/kubernetes-cluster.ts';
import { theCluster } from './cluster/testing.ts';

const access = await theCluster();
const PATIENCE_MS = 60_000;

describe.runIf(access.has('pods'))('Manifests: an existing Deployment is adopted without a restart', () => {
  let opened: TestKubernetesCluster;
  let namespace: string;
  let image: string;
  const podUids = async (): Promise<string[]> => {
    const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=app%3Dexisting`;
    const { items } = await access.api.get<{ items: { metadata: { uid: string } }[] }>(path);
    return items.map(({ metadata }) => metadata.uid).sort();
  };

  beforeAll(async () => {
    opened = openKubernetesCluster(access);
    image = await pinnedTestImage();
    namespace = await access.namespace(`${opened.installation}-existing`);
    const labels = { app: 'existing' };
    const probe = { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 };
    await access.api.create(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
      metadata: { name: 'existing', labels, annotations: { 'purser.dev/adoptable-by': 'team' } },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'web', image, readinessProbe: probe }] },
        },
      },
    });
    await eventually(async () => (await podUids()).length === 2, PATIENCE_MS);
  });
  afterAll(async () => {
    await access.deleteNamespace(namespace);
    await opened.close();
  });

  test('its pods become replicas, are scaled, seen by every process at its first look, and let go', async () => {
    const spec = { ...containerWorkload(image, { replicas: 2 }), adopt: { namespace, name: 'existing' } };
    const before = await podUids();
    const replicas = async () =>
      (await opened.cluster.observe()).replicas.filter(
        ({ workloadId, capacityUntil }) => workloadId === spec.workloadId && capacityUntil === null,
      );
    const serving = (count: number) =>
      eventually(async () => {
        const found = (await replicas()).filter(({ state }) => state === 'serving');
        return found.length === count && found;
      }, PATIENCE_MS);
    const from = Date.now();
    expect(await opened.cluster.apply(spec, { epoch: 1 })).toEqual({ outcome: 'applied' });
    const until = Date.now();
    const taken = await serving(2);
    expect(taken.map(({ replicaId }) => replicaId).sort()).toEqual(before);
    for (const { address, revisionId, capacityFrom } of taken) {
      expect(capacityFrom).toBeGreaterThanOrEqual(from);
      expect(capacityFrom).toBeLessThanOrEqual(until);
      expect(revisionId).toBe(spec.revisionId);
      expect((await fetch(`http://${address ?? ''}/`)).status).toBe(200);
    }
    await opened.cluster.apply({ ...spec, generation: 2, replicas: 1 }, { epoch: 1 });
    const [left] = await serving(1);
    expect(before).toContain(left!.replicaId);
    // Another process sees it at its first look, and reads from the object since when it counts.
    const elsewhere = await opened.another().observe();
    const { capacityFrom } = taken.find(({ replicaId }) => replicaId === left!.replicaId)!;
    expect(elsewhere.replicas.find(({ replicaId }) => replicaId === left!.replicaId)).toMatchObject({ capacityFrom });
    expect(await opened.cluster.logs(left!.replicaId, { cursor: null, limit: 10 })).toMatchObject({
      lines: [{ text: 'listening on :8080' }],
    });
    expect(await opened.cluster.remove(spec.workloadId, { epoch: 1 })).toEqual({ outcome: 'applied' });
    await eventually(async () => (await replicas()).length === 0, PATIENCE_MS);
    await eventually(async () => {
      expect(await podUids()).toEqual([left!.replicaId]);
    }, PATIENCE_MS);
    const letGoAt = Date.now();
    const again = { ...containerWorkload(image, { replicas: 1 }), adopt: spec.adopt };
    expect(await opened.cluster.apply(again, { epoch: 1 })).toEqual({ outcome: 'applied' });
    const returned = await eventually(async () => {
      const { replicas: all } = await opened.cluster.observe();
      return all.find(({ workloadId, state }) => workloadId === again.workloadId && state === 'serving') ?? false;
    }, PATIENCE_MS);
    expect(returned).toMatchObject({ replicaId: left!.replicaId, capacityUntil: null });
    expect(returned.capacityFrom).toBeGreaterThanOrEqual(letGoAt);
  });
});
