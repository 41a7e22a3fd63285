// Everything that the product asks of a cluster, as the service accounts of the chart, on an API server of its own whose audit log is read
// afterwards: what was asked and what is granted must be the same. A proxy in between answers some writes with a conflict, once.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import { EpochFence } from '../../src/kubernetes/workloads/epoch-fence.ts';
import { KubernetesInventory } from '../../src/kubernetes/nodes/inventory.adapter.ts';
import { KubernetesCluster } from '../../src/kubernetes/kubernetes-cluster.adapter.ts';
import { KubernetesNodeActions } from '../../src/kubernetes/nodes/node-actions.adapter.ts';
import { Operator } from '../../src/kubernetes/operator/operator.ts';
import type { DeploymentsApi } from '../../src/kubernetes/operator/deployments-api.port.ts';
import { eventually } from '../support/eventually.ts';
import { containerWorkload } from '../support/kubernetes-cluster.ts';
import { clock, openProxiedApi, random, statusBody, type ProxiedApi } from '../support/kubernetes-world.ts';
import { workload } from '../support/local-runtime.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import type { PolicyRule } from './cluster/access.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';
import { CHART, NEEDED, render } from './install/helm.ts';

const NAMESPACE = 'purser-system';
const PREFIX = 'purser';
const IMAGE = `purser.test/any@sha256:${'0'.repeat(64)}`;
const DIGEST = `sha256:${'1'.repeat(64)}`;
const SOON_MS = 60_000;
const fence = { epoch: 7 };

/** `group/resource verb`, with the names where only some are meant. */
type Rights = ReadonlySet<string>;

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules: readonly PolicyRule[];
}

let server: BareApiServer;
let granted: ReadonlyMap<string, readonly PolicyRule[]>;

/** The rules of the chart, by kind and name. */
async function renderedRules(): Promise<Map<string, readonly PolicyRule[]>> {
  const yaml = await render({ ...NEEDED, 'operator.enabled': true, 'operator.existingSecret': 'token' });
  const json = await server.kubectlWith(yaml, 'create', '--dry-run=client', '--validate=false', '-o', 'json', '-f', '-');
  const objects = JSON.parse(`[${json.replaceAll(/^}\n{/gm, '},{')}]`) as (Manifest & { items?: Manifest[] })[];
  const roles = objects.flatMap((one) => one.items ?? [one]).filter(({ kind }) => kind.endsWith('Role'));
  return new Map(roles.map(({ kind, metadata, rules }) => [`${kind} ${metadata.name}`, rules]));
}

const rightsIn = (rules: readonly PolicyRule[]): Rights =>
  new Set(
    rules.flatMap(({ apiGroups = [''], resources = [], resourceNames = ['*'], verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          resourceNames.flatMap((name) => verbs.map((verb) => `${group}/${resource} ${name === '*' ? '' : `${name} `}${verb}`)),
        ),
      ),
    ),
  );

/** What an account asked for; making an object by server-side apply needs the right to create it as well. */
function rightsUsed(account: string): { readonly rights: Rights; readonly refused: readonly string[] } {
  const events = server.auditLog().filter(({ user }) => user === `system:serviceaccount:${NAMESPACE}:${account}`);
  const rights = events
    .filter(({ resource }) => resource !== '')
    .flatMap(({ apiGroup, resource, subresource, name, verb, code }) => {
      const what = `${apiGroup}/${subresource === '' ? resource : `${resource}/${subresource}`}`;
      const which = resource === 'configmaps' ? `${name} ` : '';
      return (verb === 'patch' && code === 201 ? [verb, 'create'] : [verb]).map((one) => `${what} ${which}${one}`);
    });
  return { rights: new Set(rights), refused: events.filter(({ code }) => code === 403).map(({ verb, url }) => `${verb} ${url}`) };
}

beforeAll(async () => {
  server = await startBareApiServer({ pretendedNodes: 2 });
  granted = await renderedRules();
  await server.namespace(NAMESPACE);
  await server.kubectl('apply', '-f', join(CHART, 'crds'));
});
afterAll(() => server.stop());

const account = async (name: string, clusterRole: string, role?: string): Promise<ProxiedApi> => {
  const clusterRules = granted.get(`ClusterRole ${NAMESPACE}:${clusterRole}`) ?? [];
  const rules = role === undefined ? {} : { rules: granted.get(`Role ${role}`) ?? [] };
  return openProxiedApi(await server.user({ name, namespace: NAMESPACE, clusterRules, ...rules }));
};

/** The next write of this kind meets another writer. */
function conflictOnce({ proxy }: ProxiedApi, method: string, plural: string): void {
  const body = statusBody(409, 'Conflict', 'the object has been modified');
  const on = (seen: { readonly method: string; readonly url: string }) =>
    seen.method === method && seen.url.includes(`/${plural}/`);
  proxy.fail({ on, times: 1, fault: { kind: 'answer', status: 409, body } });
}

const SHARED = ['namespaces', 'serviceaccounts', 'networkpolicies', 'resourcequotas', 'priorityclasses'];
const OWN = ['services', 'poddisruptionbudgets', 'deployments'];

describe('Install: rights equal exactly the calls made', () => {
  test(
    'the control plane',
    async () => {
      const opened = await account('control-plane', 'purser', 'purser');
      const { api } = opened;
      const shared = { api, installation: PREFIX, clock, random, logger: quietLogger };
      const settings = { namespacePrefix: PREFIX, systemNamespace: NAMESPACE, modelServerImage: IMAGE };
      const cluster = new KubernetesCluster({ ...shared, ...settings, routerSources: { namespace: NAMESPACE, cidrs: [] } });
      const inventory = new KubernetesInventory(shared);
      const nodeFence = new EpochFence({ api, installation: PREFIX, namespace: NAMESPACE, of: 'nodes' });
      const actions = new KubernetesNodeActions({ api, fence: nodeFence });
      cluster.start();
      inventory.start();
      try {
        await useWorkloads(opened, cluster);
        await useNodes(inventory, actions);
      } finally {
        await Promise.all([cluster.stop(), inventory.stop()]);
        await opened.close();
      }
      const { rights, refused } = rightsUsed('control-plane');
      expect(refused).toEqual([]);
      const rules = [...(granted.get(`ClusterRole ${NAMESPACE}:purser`) ?? []), ...(granted.get('Role purser') ?? [])];
      expect([...rights].sort()).toEqual([...rightsIn(rules)].sort());
    },
    2 * SOON_MS,
  );

  test(
    'the operator',
    async () => {
      const opened = await account('operator', 'purser-operator');
      const operator = new Operator({
        api: opened.api,
        clock,
        random,
        logger: quietLogger,
        deployments: new Shelf(),
        clusterName: 'here',
      });
      const object = '/apis/purser.dev/v1alpha1/namespaces/shop/modeldeployments';
      try {
        await operator.start();
        await server.namespace('shop', { 'purser.dev/team': 'shop' });
        const spec = { project: 'shop/vision', model: 'digits' };
        await server.api.create(object, {
          apiVersion: 'purser.dev/v1alpha1',
          kind: 'ModelDeployment',
          metadata: { name: 'digits' },
          spec,
        });
        await eventually(async () => (await server.api.get(`${object}/digits`)).status !== undefined, SOON_MS);
        await server.api.delete(`${object}/digits`);
        await eventually(async () => (await server.api.list(object)).length === 0, SOON_MS);
      } finally {
        await operator.stop();
        await opened.close();
      }
      const { rights, refused } = rightsUsed('operator');
      expect(refused).toEqual([]);
      expect([...rights].sort()).toEqual([...rightsIn(granted.get(`ClusterRole ${NAMESPACE}:purser-operator`) ?? [])].sort());
    },
    2 * SOON_MS,
  );

  test('routers have no account that could ask', () => {
    const text = readFileSync(join(CHART, 'templates', 'router.yaml'), 'utf8');
    expect(text.match(/automountServiceAccountToken: false/g)).toHaveLength(2);
    expect([...granted.keys()].sort()).toEqual([
      `ClusterRole ${NAMESPACE}:purser`,
      `ClusterRole ${NAMESPACE}:purser-operator`,
      'Role purser',
    ]);
  });
});

/** Makes, changes and removes a workload of each kind, and meets other writers at each of its objects. */
async function useWorkloads(opened: ProxiedApi, cluster: KubernetesCluster): Promise<void> {
  const container = containerWorkload(IMAGE, { teamReplicaLimit: 4, replicas: 2 });
  const grant = { artifactDigest: DIGEST, artifactUrl: 'http://api/model', artifactToken: 'token' };
  const onnx = workload(
    { format: 'onnx', ...grant },
    { workloadId: randomUUID(), modelName: 'model', resources: container.resources },
  );
  const apply = async (spec: WorkloadSpec) => expect(await cluster.apply(spec, fence)).toEqual({ outcome: 'applied' });
  const changed = { ...container, generation: 2, replicas: 3, teamReplicaLimit: null };
  for (const plural of [...SHARED, ...OWN]) conflictOnce(opened, 'PATCH', plural);
  await apply(container);
  await apply({ ...onnx, teamReplicaLimit: 4 });
  const [replica] = await eventually(async () => {
    const { replicas } = await cluster.observe();
    return replicas.filter(({ state }) => state === 'serving').length >= 2 && replicas;
  }, SOON_MS);
  // Nobody answers in the place of a pretended kubelet.
  await cluster.logs(replica?.replicaId ?? '', { cursor: null, limit: 10 }).catch(() => null);
  for (const plural of ['resourcequotas', 'serviceaccounts', 'networkpolicies', ...OWN]) conflictOnce(opened, 'DELETE', plural);
  await apply(changed);
  for (const { workloadId } of [changed, onnx]) expect(await cluster.remove(workloadId, fence)).toEqual({ outcome: 'applied' });
  await eventually(async () => (await cluster.tidy(new Set(), fence)).outcome === 'applied', SOON_MS);
}

/** Looks at nodes and takes one away. */
async function useNodes(inventory: KubernetesInventory, actions: KubernetesNodeActions): Promise<void> {
  const { metadata } = await server.api.create<{ metadata: { uid: string } }>('/api/v1/namespaces/default/pods', POD);
  const pod = { namespace: 'default', name: POD.metadata.name, uid: metadata.uid };
  const [node] = (await inventory.observeNodes()).nodes;
  if (!node) throw new Error('there are no nodes');
  await inventory.usage([node]);
  await actions.cordon(node, fence);
  await actions.uncordon(node, fence);
  await actions.announce(node, 'It goes.', fence);
  await actions.release(pod, fence);
  await actions.retire(pod, fence);
  await actions.forget(node, fence);
}

const POD = { metadata: { name: 'lone' }, spec: { containers: [{ name: 'c', image: IMAGE }] } };

/** An API with room for one deployment. */
class Shelf implements DeploymentsApi {
  #manager: string | null = null;

  find = () =>
    Promise.resolve(
      this.#manager === null
        ? null
        : {
            ...{ id: 'one', phase: 'READY', manager: this.#manager, generation: 1, observedGeneration: 1 },
            ...{ wishedReplicas: 1, readyReplicas: 1, revision: 1, url: 'http://router/shop/vision/digits', monthlyCost: '1.5' },
            ready: { status: 'True', reason: 'Ready', message: 'It serves.' },
          },
    );

  deploy = (_path: string, _spec: unknown, manager: string) => {
    this.#manager = manager;
    return Promise.resolve(null);
  };

  remove = () => {
    this.#manager = null;
    return Promise.resolve(null);
  };

  follow = (_onChange: unknown, signal: AbortSignal) =>
    new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
