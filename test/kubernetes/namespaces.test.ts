// Namespaces of teams on a bare API server, which stores what it is told and runs nothing: what is left in them, and one that is being deleted.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import * as kinds from '../../src/kubernetes/api/resource.ts';
import { LABELS } from '../../src/kubernetes/manifests/names.ts';
import { eventually } from '../support/eventually.ts';
import { containerWorkload, openKubernetesCluster, type TestKubernetesCluster } from '../support/kubernetes-cluster.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';

const IMAGE = `registry.example/model@sha256:${'a'.repeat(64)}`;
const fence = { epoch: 3 };

let server: BareApiServer;
let opened: TestKubernetesCluster;

beforeAll(async () => {
  server = await startBareApiServer();
});
afterAll(() => server.stop());
beforeEach(() => {
  opened = openKubernetesCluster(server);
});
afterEach(() => opened.close());

const inProject = (projectName: string, more: Partial<WorkloadSpec> = {}) =>
  containerWorkload(IMAGE, { projectName, projectId: `id-of-${projectName}`, teamReplicaLimit: 4, ...more });
/** `kind name` of what the team's namespace has beside workloads, its own default account left out. */
const shared = async (): Promise<string[]> => {
  const { namespace, api } = opened;
  const resources = [kinds.SERVICE_ACCOUNTS, kinds.NETWORK_POLICIES, kinds.RESOURCE_QUOTAS, kinds.CONFIG_MAPS];
  const lists = await Promise.all(
    resources.map(async (resource) =>
      (await api.list(resource, { namespace })).items.map(({ metadata }) => `${resource.kind} ${metadata.name}`),
    ),
  );
  return lists.flat().filter((name) => !/ (default|kube-root-ca.crt)$/.test(name));
};
const apply = async (spec: WorkloadSpec) => expect(await opened.cluster.apply(spec, fence)).toEqual({ outcome: 'applied' });
const remove = (spec: WorkloadSpec) => opened.cluster.remove(spec.workloadId, fence);
const tidied = (projects: readonly string[] = [], at = fence) => opened.cluster.tidy(new Set(projects), at);

describe('Manifests: what a project and a team have in common goes with their last workload', () => {
  const of = (project: string) => [`ServiceAccount purser-${project}`, `NetworkPolicy purser-${project}`];
  const quota = 'ResourceQuota purser-replicas';

  test('of a project first, of the team with its last one; the namespace and what others have in it stay', async () => {
    const [one, two] = [inProject('one'), inProject('two')];
    await apply(one);
    await apply(two);
    const { namespace } = opened;
    await server.api.create(`/api/v1/namespaces/${namespace}/configmaps`, { metadata: { name: 'foreign' } });
    await server.api.create(`/api/v1/namespaces/${namespace}/serviceaccounts`, {
      metadata: { name: 'handed-over', labels: { [LABELS.installation]: opened.installation, [LABELS.project]: 'one' } },
    });
    const foreign = ['ConfigMap foreign', 'ServiceAccount handed-over'];
    expect(await tidied()).toEqual({ outcome: 'unchanged' });
    await remove(one);
    expect(await tidied(['team/one', 'team/two'])).toEqual({ outcome: 'unchanged' });
    await eventually(async () => (await tidied(['team/two'])).outcome === 'applied');
    expect((await shared()).sort()).toEqual([...of('two'), quota, ...foreign].sort());
    await remove(two);
    await eventually(async () => (await tidied()).outcome === 'applied');
    expect((await shared()).sort()).toEqual(foreign);
    await eventually(async () => (await tidied()).outcome === 'unchanged');
    expect((await opened.api.get(kinds.NAMESPACES, { name: namespace }))?.metadata.deletionTimestamp).toBeUndefined();
    await apply(one);
    expect((await shared()).sort()).toEqual([...of('one'), quota, ...foreign].sort());
  });

  test('nothing goes while a pod drains, since its policy keeps others from it, nor by the word of an older leader', async () => {
    const spec = inProject('one');
    await apply(spec);
    const labels = {
      [LABELS.installation]: opened.installation,
      [LABELS.workload]: spec.workloadId,
      [LABELS.team]: spec.teamName,
      [LABELS.project]: spec.projectName,
    };
    const pods = `/api/v1/namespaces/${opened.namespace}/pods`;
    const serviceAccountName = 'purser-one';
    const securityContext = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
    await server.api.create(pods, {
      metadata: { name: 'draining', labels },
      spec: {
        serviceAccountName,
        securityContext: { runAsNonRoot: true, runAsUser: 7, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [{ name: 'replica', image: IMAGE, securityContext }],
      },
    });
    await remove(spec);
    await eventually(async () => (await opened.another().tidy(new Set(), fence)).outcome === 'unchanged');
    expect(await shared()).toHaveLength(3);
    await server.api.delete(`${pods}/draining`);
    const older = opened.another();
    const newer = inProject('two');
    expect(await opened.another().apply(newer, { epoch: 9 })).toEqual({ outcome: 'applied' });
    expect(await older.tidy(new Set(), fence)).toEqual({ outcome: 'stale_epoch', seenEpoch: 9 });
    await eventually(async () => (await tidied([], { epoch: 9 })).outcome === 'applied');
    expect(await shared()).toEqual(['ServiceAccount purser-two', 'NetworkPolicy purser-two', 'ResourceQuota purser-replicas']);
  });
});

describe('Rebuild: a namespace that is still being deleted', () => {
  test('is waited for: what is to be made in it is refused for now, and nothing has failed', async () => {
    const spec = inProject('one');
    await apply(spec);
    const { namespace, api } = opened;
    // Nobody empties it here, as where something in it will not go.
    await api.delete(kinds.NAMESPACES, { name: namespace });
    // Its pods go before it does: it counts as gone at once, so that nobody blames them.
    await eventually(async () => {
      expect((await opened.cluster.observe()).workloads).toMatchObject([{ workloadId: spec.workloadId, generation: 0 }]);
    });
    await api.delete(kinds.KUBERNETES_DEPLOYMENTS, {
      namespace,
      name: (await api.list(kinds.KUBERNETES_DEPLOYMENTS, { namespace })).items[0]!.metadata.name,
    });
    await eventually(async () => {
      const refused = { outcome: 'refused', reason: 'NAMESPACE_ENDING', waits: true };
      expect(await opened.cluster.apply(spec, fence)).toMatchObject(refused);
    });
  });
});
