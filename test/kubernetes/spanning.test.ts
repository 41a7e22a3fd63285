// A whole Purser in front of two clusters with real nodes, each reached through a cable that can be pulled: a deployment on both while one
// of them is out of reach, two control planes of which the leading one is frozen in the middle of its writes, and pods of somebody else.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCli, type TestCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import type { SeenRequest } from '../support/fault-proxy.ts';
import { startInstallation, startSecondControlPlane, type Installation } from '../support/installation.ts';
import { openProxiedApi, type ProxiedApi } from '../support/kubernetes-world.ts';
import { pinnedTestImage } from '../support/kubernetes-cluster.ts';
import { ask, change, deployVersion, look, rowsOf, untilReady } from '../support/live-system.ts';
import { Load } from '../support/load.ts';
import { AnotherCluster, theCluster, type TestCluster } from './cluster/testing.ts';

const east = await theCluster();
const PREFIX = `span-${process.pid}`;
const NAMESPACE = `${PREFIX}-example`;
const project = { path: 'example/demo' };
const pathOf = (name: string) => `example/demo/${name}`;
/** Leases that nobody renews, pods that start on a busy machine. */
const SOON_MS = 60_000;
const CALLERS = 4;

/** A cluster as the installation reaches it. */
interface Wired {
  readonly name: string;
  readonly cluster: TestCluster;
  readonly wire: ProxiedApi;
}

let purser: Installation;
let cli: TestCli;
let west: AnotherCluster;
let clusters: readonly Wired[] = [];

beforeAll(async () => {
  if (!east.has('nodes')) return;
  [purser, west] = await Promise.all([startInstallation(), AnotherCluster.start(1)]);
  cli = openCli({ PURSER_URL: purser.apiUrl, PURSER_TOKEN: purser.adminToken });
  clusters = await Promise.all([wired('east', east), wired('west', west)]);
  for (const { name, wire } of clusters) {
    const names = ['--prefix', PREFIX, '--system-namespace', `${PREFIX}-system`, '--router-cidr', '10.201.0.0/16'];
    const ran = await cli.run(['clusters', 'register', name, '--kubeconfig', wire.kubeconfig, ...names]);
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
  }
  const image = await pinnedTestImage();
  for (const name of ['web', 'standby', 'fenced', 'existing']) {
    await change(
      purser,
      `mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id } userErrors { code message } } }`,
      { input: { project, name } },
    );
    const environment = [{ name: 'LATENCY_MS', value: '10' }];
    await change(
      purser,
      `mutation ($input: RegisterModelVersionInput!) { registerModelVersion(input: $input) { userErrors { code message } } }`,
      {
        input: {
          model: { path: pathOf(name) },
          container: { image, healthPath: '/healthz', environment },
          resources: { cpuMilli: 50, memoryMib: 32 },
        },
      },
    );
  }
}, 120_000);

afterAll(async () => {
  if (!east.has('nodes')) return;
  cli.close();
  await purser.remove();
  for (const { wire } of clusters) await wire.close();
  await west.stop();
  for (const name of [NAMESPACE, `${PREFIX}-system`, `${PREFIX}-others`]) await east.deleteNamespace(name);
}, 120_000);

const wired = async (name: string, cluster: TestCluster): Promise<Wired> => ({
  ...{ name, cluster },
  wire: await openProxiedApi(cluster.kubeconfig),
});

interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly status: { readonly podIP?: string; readonly containerStatuses?: readonly { readonly restartCount: number }[] };
}
const podsIn = async (cluster: TestCluster, selector: string, namespace = NAMESPACE): Promise<readonly PodObject[]> => {
  const { items } = await cluster.api.get<{ items: PodObject[] }>(
    `/api/v1/namespaces/${namespace}/pods?labelSelector=${encodeURIComponent(selector)}`,
  );
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
};
const podsOf = (cluster: TestCluster, name: string) => podsIn(cluster, `purser.dev/deployment=${name}`);
const uidsOf = (pods: readonly PodObject[]) => pods.map(({ metadata }) => metadata.uid).sort();
const namesOf = (pods: readonly PodObject[]) => new Set(pods.map(({ metadata }) => metadata.name));

const OBJECTS = ['apps/v1/deployments', 'v1/services', 'v1/secrets', 'v1/serviceaccounts', 'policy/v1/poddisruptionbudgets'];
/** What is there for deployments, by kind and name. */
async function objectsIn(cluster: TestCluster): Promise<readonly string[]> {
  const lists = await Promise.all(
    OBJECTS.map(async (kind) => {
      const [plural = '', ...rest] = kind.split('/').reverse();
      const api = rest.length > 1 ? `/apis/${rest.reverse().join('/')}` : '/api/v1';
      const found = await cluster.api.list(`${api}/namespaces/${NAMESPACE}/${plural}`);
      return found.filter((one) => one.metadata.deletionTimestamp === undefined).map((one) => `${plural} ${one.metadata.name}`);
    }),
  );
  return lists.flat().sort();
}

const authorization = () => ({ authorization: `Bearer ${purser.adminToken}` });
const load = (name: string) => new Load(`${purser.routerUrl}/${pathOf(name)}/`, authorization(), CALLERS, 'hello');

/** Of so many requests the share that the given pods answered. */
async function shareOf(name: string, pods: ReadonlySet<string>, requests = 160): Promise<number> {
  let answered = 0;
  for (let n = 0; n < requests; n += 1) {
    const response = await fetch(`${purser.routerUrl}/${pathOf(name)}/`, { headers: authorization() });
    expect(response.status).toBe(200);
    if (pods.has(((await response.json()) as { host: string }).host)) answered += 1;
  }
  return answered / requests;
}

const reachable = async (name: string) => {
  const { clusters: found } = await ask<{
    clusters: { nodes: { name: string; status: { conditions: { type: string; status: string }[] } }[] };
  }>(purser, '{ clusters(first: 5) { nodes { name status { conditions { type status } } } } }');
  const seen = found.nodes.find((node) => node.name === name)?.status.conditions;
  return seen?.find(({ type }) => type === 'Reachable')?.status;
};

const clusterEvents = async () => {
  const { events } = await ask<{ events: { events: { type: string }[] } }>(
    purser,
    `{ events(last: 50, filter: { types: ["cluster."] }) { events { type } } }`,
  );
  return events.events.map(({ type }) => type).filter((type) => type !== 'cluster.registered');
};

const isWrite = ({ method }: SeenRequest) => method !== 'GET';
const writes = () =>
  clusters.flatMap(({ name, wire }) => wire.proxy.seen.filter(isWrite).map(({ method, url }) => `${name} ${method} ${url}`));

describe.runIf(east.has('nodes'))('Several clusters: one deployment on two of them', { timeout: 240_000 }, () => {
  test('shares by weight; one that is cut off is left alone, the other takes its traffic, and it heals without doubling', async () => {
    const options = { project, retryable: true, deadlineMs: 5_000 };
    const share = [
      { cluster: 'east', weight: 3 },
      { cluster: 'west', weight: 1 },
    ];
    const order = [
      { cluster: 'west', weight: 1 },
      { cluster: 'east', weight: 1, order: 1 },
    ];
    await deployVersion(purser, { ...options, name: 'web', model: 'web', replicas: 4, clusters: share });
    await deployVersion(purser, { ...options, name: 'standby', model: 'standby', replicas: 1, clusters: order });
    for (const name of ['web', 'standby']) await untilReady(purser, pathOf(name));
    const seen = async () =>
      Promise.all(
        ['web', 'standby'].map(async (name) => ({
          pods: await Promise.all([east, west].map(async (cluster) => uidsOf(await podsOf(cluster, name)))),
          replicas: (await look(purser, pathOf(name))).replicas.map(({ id, state }) => `${id} ${state}`).sort(),
        })),
      );
    const before = await seen();
    expect(before.map(({ pods }) => pods.map(({ length }) => length))).toEqual([
      [3, 1],
      [1, 1],
    ]);
    const [inEast, standbyInEast] = [namesOf(await podsOf(east, 'web')), namesOf(await podsOf(east, 'standby'))];
    const part = await shareOf('web', inEast);
    expect(part).toBeGreaterThan(0.6);
    expect(part).toBeLessThan(0.9);
    expect(await shareOf('standby', standbyInEast, 20)).toBe(0);

    const loads = [load('web'), load('standby')] as const;
    await eventually(() => loads.every(({ answers }) => answers.length > 300), SOON_MS);
    const written = writes().length;
    const plugIn = clusters[1]!.wire.proxy.cutOff();
    await west.control.cutNetwork('node1', 'pods');
    await eventually(async () => (await reachable('west')) === 'False', SOON_MS);
    expect((await look(purser, pathOf('web'))).status.phase).toBe('DEGRADED');
    expect(await shareOf('web', inEast, 40)).toBe(1);
    expect(await shareOf('standby', standbyInEast, 40)).toBe(1);
    const lost = loads.map(({ failed }) => failed);

    plugIn();
    await west.control.healNetwork('node1');
    await eventually(async () => (await reachable('west')) === 'True', SOON_MS);
    for (const name of ['web', 'standby']) await untilReady(purser, pathOf(name));
    await eventually(async () => (await shareOf('standby', standbyInEast, 10)) === 0, SOON_MS);
    await eventually(async () => (await shareOf('web', inEast, 40)) < 1, SOON_MS);
    for (const one of loads) await one.stop();
    // Nothing but what was sent over connections that were open to what is cut off, one of each caller, by its deadline.
    expect(loads.map(({ failed }) => failed)).toEqual(lost);
    for (const failed of lost) expect(failed).toEqual(Array(Math.min(failed.length, CALLERS)).fill('status 504'));
    expect(await seen()).toEqual(before);
    expect(writes().slice(written)).toEqual([]);
    expect(await clusterEvents()).toEqual(['cluster.unreachable', 'cluster.reachable']);
  });
});

const leaders = async () => {
  const rows = await rowsOf<{ cluster: string; holder: string; epoch: string }>(
    purser,
    `select c.name as cluster, l.holder, l.epoch from lease l join cluster c on l.name = 'deployments/' || c.id where c.kind = 'kubernetes' order by 1`,
  );
  return rows.map(({ cluster, holder, epoch }) => ({ cluster, holder, epoch: Number(epoch) }));
};

const SCALE = `mutation ($path: String!, $replicas: Int!) { scaleDeployment(input: { deployment: { path: $path }, replicas: $replicas })
  { deployment { id } userErrors { code message } } }`;
const DELETE = `mutation ($path: String!) { deleteDeployment(input: { deployment: { path: $path } }) { deployment { id } userErrors { code message } } }`;

/** From now on every write waits on its way, until it is let through; later ones pass again from the moment it is said. */
function holdWrites() {
  const { promise: until, resolve: letThrough } = Promise.withResolvers<undefined>();
  const held: string[] = [];
  const answers: string[] = [];
  const undo = clusters.map(({ name, wire }) =>
    wire.proxy.fail({
      on: (asked) => isWrite(asked) && held.push(name) > 0,
      fault: { kind: 'late', until, answered: ({ method }, status) => answers.push(`${name} ${method} ${status}`) },
    }),
  );
  return { held, answers, letThrough: () => letThrough(undefined), letOthersPass: () => undo.forEach((one) => one()) };
}

describe.runIf(east.has('nodes'))(
  'Effects are fenced: two control planes, one frozen past its lease',
  { timeout: 240_000 },
  () => {
    test('what a leader had on its way when it was frozen comes too late: the cluster refuses its older epoch, and nothing is left of it', async () => {
      const on = (cluster: string) => ({ project, model: 'fenced', clusters: [{ cluster }], deadlineMs: 2_000 });
      await deployVersion(purser, { ...on('west'), name: 'fenced', replicas: 2 });
      await deployVersion(purser, { ...on('east'), name: 'beside' });
      for (const name of ['fenced', 'beside']) await untilReady(purser, pathOf(name));
      const other = await startSecondControlPlane(purser);
      const frozen = purser.pidOf('serve');
      try {
        const second = other.installation;
        const [before, led] = [await Promise.all([objectsIn(east), objectsIn(west)]), await leaders()];
        const writing = holdWrites();
        await change(purser, SCALE, { path: pathOf('fenced'), replicas: 3 });
        await deployVersion(purser, { ...on('east'), name: 'withdrawn' });
        await eventually(() => expect(writing.held.toSorted()).toEqual(['east', 'west']), SOON_MS);
        process.kill(frozen, 'SIGSTOP');
        writing.letOthersPass();

        await change(second, SCALE, { path: pathOf('fenced'), replicas: 1 });
        await change(second, DELETE, { path: pathOf('withdrawn') });
        await eventually(async () => (await podsOf(west, 'fenced')).length === 1, SOON_MS);
        const seen = await eventually(async () => {
          const now = await untilReady(second, pathOf('fenced'));
          return now.replicas.length === 1 && now;
        }, SOON_MS);
        const taken = await eventually(async () => {
          const now = await leaders();
          return now.every(({ epoch }, n) => epoch > (led[n]?.epoch ?? 0)) && now;
        }, SOON_MS);
        const pods = uidsOf(await podsOf(west, 'fenced'));
        writing.letThrough();
        await eventually(() => writing.answers.length === 2);
        expect(writing.answers.toSorted()).toEqual(['east PATCH 201', 'west PATCH 409']);
        process.kill(frozen, 'SIGCONT');

        await eventually(async () => expect(await look(purser, pathOf('fenced'))).toEqual(seen), SOON_MS);
        await eventually(async () => expect(await Promise.all([objectsIn(east), objectsIn(west)])).toEqual(before), SOON_MS);
        expect(await leaders()).toEqual(taken);
        expect(uidsOf(await podsOf(west, 'fenced'))).toEqual(pods);
        // A wish told to the thawed one is carried out by the one that leads.
        await change(purser, SCALE, { path: pathOf('fenced'), replicas: 2 });
        await eventually(async () => (await podsOf(west, 'fenced')).length === 2, SOON_MS);
        await untilReady(purser, pathOf('fenced'));
      } finally {
        process.kill(frozen, 'SIGCONT');
        await other.stop();
      }
    });
  },
);

describe.runIf(east.has('nodes'))(
  'Manifests: an existing Deployment is adopted without restart; its pods',
  { timeout: 120_000 },
  () => {
    const namespace = `${PREFIX}-others`;
    const selector = 'app=existing';
    const objectPath = `/apis/apps/v1/namespaces/${namespace}/deployments/existing`;
    const existing = () => east.api.get<{ metadata: { labels: Record<string, string> }; spec: object }>(objectPath);
    const requestsOf = async () => {
      const range = { from: new Date(Date.now() - 3_600_000).toISOString(), to: new Date(Date.now() + 60_000).toISOString() };
      const { costs } = await ask<{ costs: { rows: { key: { value: string }[]; requests: string }[] } }>(
        purser,
        `query ($range: TimeRange!) { costs(range: $range, groupBy: [DEPLOYMENT]) { rows { key { value } requests } } }`,
        { range },
      );
      return Number(costs.rows.find(({ key }) => JSON.stringify(key).includes('existing'))?.requests ?? 0);
    };

    test('are taken over from the command line without a restart, routed to, counted, and let go as they were', async () => {
      await east.namespace(namespace);
      const labels = { app: 'existing' };
      const container = {
        name: 'web',
        image: await pinnedTestImage(),
        readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 },
      };
      await east.api.create(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
        metadata: { name: 'existing', labels, annotations: { 'purser.dev/adoptable-by': 'example' } },
        spec: {
          replicas: 2,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } },
        },
      });
      await east.kubectl('rollout', 'status', '-n', namespace, 'deployment/existing', '--timeout=60s');
      const untouched = async () => ({
        spec: (await existing()).spec,
        pods: (await podsIn(east, selector, namespace))
          .map(({ metadata, status }) => [metadata.uid, status.containerStatuses?.[0]?.restartCount])
          .sort(),
      });
      const before = await untouched();
      const how = ['--replicas', '2', '--cluster', 'east', '--adopt', `${namespace}/existing`, '--wait'];
      expect(await cli.run(['deploy', pathOf('existing'), ...how])).toMatchObject({ code: 0 });
      const { replicas } = await look(purser, pathOf('existing'));
      const pods = await podsIn(east, selector, namespace);
      expect(replicas.map(({ address }) => address).sort()).toEqual(
        pods.map(({ status }) => `${status.podIP ?? ''}:8080`).sort(),
      );
      expect(await shareOf('existing', namesOf(pods), 20)).toBe(1);
      expect(await untouched()).toEqual(before);
      await eventually(async () => (await requestsOf()) >= 20, SOON_MS);

      expect(await cli.run(['delete', pathOf('existing')])).toMatchObject({ code: 0 });
      await eventually(async () => expect((await existing()).metadata.labels).toEqual(labels), SOON_MS);
      await eventually(() => expect(look(purser, pathOf('existing'))).rejects.toThrow('is not there'), SOON_MS);
      expect(await untouched()).toEqual(before);
    });
  },
);
