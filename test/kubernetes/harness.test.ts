// Tests the test cluster itself, on the run's own one: what every other file here relies on.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ClusterAccess } from './cluster/access.ts';
import { isStatus, type ApiObject } from './cluster/api.ts';
import { writeImage } from './cluster/oci-image.ts';
import { containerProgram, kubernetesVersion } from './cluster/programs.ts';
import { fileEntry } from './cluster/tar.ts';
import { theCluster } from './cluster/testing.ts';

const cluster = await theCluster();
const NAMESPACE = `harness-${process.pid}`;
const DEPLOYMENTS = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`;
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
/** Nodes, schedulers and kubelets of a busy machine. */
const SOON_MS = 60_000;

const web = (name: string, replicas: number, more: object = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'web',
            image: cluster.image,
            ports: [{ containerPort: 8080 }],
            readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 },
            resources: { requests: { cpu: '10m', memory: '16Mi' } },
          },
        ],
        ...more,
      },
    },
  },
});

interface Condition {
  readonly type: string;
  readonly status: string;
}

interface PodFields {
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly Condition[];
    readonly containerStatuses?: readonly { readonly containerID?: string; readonly restartCount: number }[];
  };
}

const isReady = (conditions: readonly Condition[] = []) =>
  conditions.some(({ type, status }) => type === 'Ready' && status === 'True');

const podOf = (object: ApiObject) => {
  const { metadata, spec, status } = object as ApiObject & PodFields;
  const container = { containerID: '', restartCount: 0, ...status.containerStatuses?.[0] };
  return {
    name: metadata.name,
    node: spec.nodeName ?? '',
    ip: status.podIP ?? '',
    ready: isReady(status.conditions),
    containerId: container.containerID.replace(/^.*:\/\//, ''),
    restarts: container.restartCount,
    leaving: metadata.deletionTimestamp !== undefined,
  };
};

const podsOf = async (app: string) => (await cluster.api.list(`${PODS}?labelSelector=app=${app}`)).map(podOf);

const readyPods = (app: string, count: number) =>
  eventually(async () => {
    const ready = (await podsOf(app)).filter((pod) => pod.ready && !pod.leaving);
    return ready.length === count && ready;
  }, SOON_MS);

const scale = (app: string, replicas: number) => cluster.api.patch(`${DEPLOYMENTS}/${app}`, { spec: { replicas } });

const ask = async (url: string) => {
  const answer = await request(url, { headersTimeout: 3_000 });
  return { status: answer.statusCode, body: await answer.body.text() };
};

const readyNodes = async () => {
  const nodes = await cluster.api.list('/api/v1/nodes');
  return nodes.filter(({ status }) => isReady(status?.['conditions'] as Condition[])).map(({ metadata }) => metadata.name);
};

beforeAll(async () => {
  await cluster.namespace(NAMESPACE);
});

afterAll(async () => {
  await cluster.deleteNamespace(NAMESPACE);
  await cluster.api.close();
});

describe('Test cluster: what it is', () => {
  test('runs the version that go.mod names', async () => {
    const version = await cluster.api.get<{ gitVersion: string }>('/version');
    expect(version.gitVersion).toBe(kubernetesVersion());
  });

  test('has two nodes that are Ready', async () => {
    expect((await readyNodes()).length).toBeGreaterThanOrEqual(2);
  });

  test('gives a user the rights that were asked for, and no others', async () => {
    const rules = [{ resources: ['configmaps'], verbs: ['get', 'list', 'create'] }];
    const user = await ClusterAccess.open(await cluster.user({ name: 'reader', namespace: NAMESPACE, rules }));
    const configMaps = `/api/v1/namespaces/${NAMESPACE}/configmaps`;
    await user.api.create(configMaps, { metadata: { name: 'mine' } });
    await expect(user.api.delete(`${configMaps}/mine`)).rejects.toThrow(/cannot delete resource "configmaps"/);
    const elsewhere = await user.api.list('/api/v1/namespaces/default/configmaps').catch((error: unknown) => error);
    expect(isStatus(elsewhere, 403)).toBe(true);
    await user.api.close();
  });
});

describe.runIf(cluster.has('replicas'))('Test cluster: its replicas', () => {
  test('come up, go to zero and come back', async () => {
    await cluster.api.create(DEPLOYMENTS, web('scaled', 2));
    await readyPods('scaled', 2);
    await scale('scaled', 0);
    await eventually(async () => (await podsOf('scaled')).length === 0, SOON_MS);
    await scale('scaled', 1);
    await readyPods('scaled', 1);
  });

  test('are replaced when they are deleted', async () => {
    await cluster.api.create(DEPLOYMENTS, web('replaced', 1));
    const [first] = await readyPods('replaced', 1);
    await cluster.api.delete(`${PODS}/${first?.name ?? ''}`);
    await eventually(async () => (await podsOf('replaced')).some((pod) => pod.ready && pod.name !== first?.name), SOON_MS);
  });
});

describe.runIf(cluster.has('audit'))('Test cluster: its audit log', () => {
  test('shows who asked for what, refused requests too', async () => {
    const since = Date.now();
    const clusterRules = [{ resources: ['pods'], verbs: ['list'] }];
    const user = await ClusterAccess.open(await cluster.user({ name: 'audited', namespace: NAMESPACE, clusterRules }));
    await user.api.list('/api/v1/pods');
    await user.api.delete(`${PODS}/absent`).catch(() => undefined);
    const events = cluster.auditLog(since).filter((event) => event.user === `system:serviceaccount:${NAMESPACE}:audited`);
    expect(events.map(({ verb, resource, code }) => [verb, resource, code])).toEqual([
      ['list', 'pods', 200],
      ['delete', 'pods', 403],
    ]);
    await user.api.close();
  });
});

describe.runIf(cluster.has('pods'))('Test cluster: its pods', () => {
  test('answer at their own address, through a service, and by its name', async () => {
    await cluster.api.create(DEPLOYMENTS, web('answering', 2));
    const service = await cluster.api.create(`/api/v1/namespaces/${NAMESPACE}/services`, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'answering' },
      spec: { selector: { app: 'answering' }, ports: [{ port: 80, targetPort: 8080 }] },
    });
    for (const pod of await readyPods('answering', 2)) {
      expect(JSON.parse((await ask(`http://${pod.ip}:8080/`)).body)).toMatchObject({ host: pod.name });
    }
    const address = String(service.spec?.['clusterIP']);
    await eventually(async () => (await ask(`http://${address}/healthz`)).status === 200);
    const [pod] = await readyPods('answering', 2);
    const byName = (name: string) => ask(`http://${pod?.ip ?? ''}:8080/fetch?url=http://${name}/healthz`);
    await eventually(async () => (await byName('answering')).status === 200);
    expect((await byName(`answering.${NAMESPACE}.svc.cluster.local`)).status).toBe(200);
    expect((await byName('absent')).body).toContain('no such host');
  });

  test('reach each other across nodes', async () => {
    await cluster.api.create(DEPLOYMENTS, web('crossing', 2, { topologySpreadConstraints: [spread('crossing')] }));
    const [one, other] = await readyPods('crossing', 2);
    expect(one?.node).not.toBe(other?.node);
    const answer = await ask(`http://${one?.ip ?? ''}:8080/fetch?url=http://${other?.ip ?? ''}:8080/`);
    expect(JSON.parse(answer.body)).toMatchObject({ host: other?.name });
  });

  test('come back after a crash, and say so', async () => {
    await cluster.api.create(DEPLOYMENTS, web('crashing', 1));
    const [pod] = await readyPods('crashing', 1);
    await ask(`http://${pod?.ip ?? ''}:8080/crash`).catch(() => undefined);
    await eventually(async () => (await podsOf('crashing')).some(({ ready, restarts }) => ready && restarts === 1), SOON_MS);
  });

  test('say within seconds that their image is nowhere, and that their memory was not enough', async () => {
    const pod = (name: string, container: object) =>
      cluster.api.create(PODS, {
        metadata: { name },
        spec: { restartPolicy: 'Never', containers: [{ name: 'only', image: cluster.image, ...container }] },
      });
    await pod('nowhere', { image: 'registry.test/absent:1' });
    await pod('hungry', { args: ['eat'], resources: { limits: { memory: '64Mi' } } });
    const stateOf = async (name: string) =>
      JSON.stringify((await cluster.api.get(`${PODS}/${name}`)).status?.['containerStatuses'] ?? []);
    await eventually(async () => expect(await stateOf('nowhere')).toMatch(/ErrImagePull|ImagePullBackOff/), 20_000);
    await eventually(async () => expect(await stateOf('hungry')).toContain('OOMKilled'), 20_000);
  });

  test('log what they print', async () => {
    const [pod] = await readyPods('answering', 2);
    await ask(`http://${pod?.ip ?? ''}:8080/log?line=hello-from-the-test`);
    await eventually(async () =>
      (await cluster.kubectl('logs', '-n', NAMESPACE, pod?.name ?? '')).includes('hello-from-the-test'),
    );
  });
});

const spread = (app: string) => ({
  maxSkew: 1,
  topologyKey: 'kubernetes.io/hostname',
  whenUnsatisfiable: 'DoNotSchedule',
  labelSelector: { matchLabels: { app } },
});

describe.runIf(cluster.has('nodes'))('Test cluster: its nodes', () => {
  const LABEL = 'purser.test/own';
  const added: string[] = [];
  const addNode = async () => {
    const name = await cluster.control.addNode({
      labels: { [LABEL]: NAMESPACE, 'node.kubernetes.io/instance-type': 'm7i.large' },
      taints: [{ key: LABEL, effect: 'NoSchedule' }],
      reserved: { cpu: '1' },
      maxPods: 12,
      providerId: `test:///zone-a/${NAMESPACE}-${added.length}`,
    });
    added.push(name);
    return name;
  };
  const onOwnNodes = {
    nodeSelector: { [LABEL]: NAMESPACE },
    tolerations: [{ key: LABEL, operator: 'Exists', effect: 'NoSchedule' }],
  };

  afterAll(async () => {
    for (const name of added) await cluster.control.removeNode(name);
  });

  test('have the shape that was asked for', async () => {
    const name = await addNode();
    const { metadata, spec, status } = await cluster.api.get(`/api/v1/nodes/${name}`);
    expect(metadata.labels).toMatchObject({ 'node.kubernetes.io/instance-type': 'm7i.large' });
    expect(spec).toMatchObject({ providerID: `test:///zone-a/${NAMESPACE}-0` });
    expect(status?.['allocatable']).toMatchObject({ pods: '12' });
  });

  test('can run an image by its digest that was brought after they started', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'purser-image-'));
    const layers = [[fileEntry(await containerProgram(), 'another-name')]];
    const image = writeImage('purser.test/brought:1', { layers, entrypoint: ['/another-name'] }, join(folder, 'image.tar'));
    await cluster.control.importImage(image);
    const deployment = web('pinned', 1);
    deployment.spec.template.spec.containers[0]!.image = `purser.test/brought@${image.digest}`;
    await cluster.api.create(DEPLOYMENTS, deployment);
    await readyPods('pinned', 1);
  });

  test('bring a container back that was killed', async () => {
    await cluster.api.create(DEPLOYMENTS, web('killed', 1));
    const [pod] = await readyPods('killed', 1);
    await cluster.control.killContainer(pod!.node, pod!.containerId);
    await eventually(async () => (await podsOf('killed')).some(({ ready, restarts }) => ready && restarts === 1), SOON_MS);
  });

  test('lose their pods to other nodes when their kubelet is killed, and come back with it', async () => {
    const first = added[0] ?? (await addNode());
    const second = await addNode();
    await cluster.api.create(DEPLOYMENTS, web('moved', 1, onOwnNodes));
    const [pod] = await readyPods('moved', 1);
    await cluster.control.killKubelet(pod!.node);
    await eventually(async () => (await podsOf('moved')).some(({ ready, node }) => ready && node !== pod!.node), SOON_MS);
    expect((await ask(`http://${pod!.ip}:8080/healthz`)).status).toBe(200);
    await cluster.control.startKubelet(pod!.node);
    await eventually(async () => (await readyNodes()).filter((name) => [first, second].includes(name)).length === 2, SOON_MS);
    await eventually(async () => !(await podsOf('moved')).some(({ name }) => name === pod!.name), SOON_MS);
  });

  test('start again after their power was cut', async () => {
    const name = added[0] ?? (await addNode());
    await cluster.control.stopNode(name);
    expect(await cluster.control.nodes()).toContainEqual(expect.objectContaining({ name, running: false }));
    await cluster.control.startNode(name);
    expect(await readyNodes()).toContain(name);
  });
});
