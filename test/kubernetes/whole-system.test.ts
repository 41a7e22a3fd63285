// A whole Purser on this machine in front of a real cluster: a container and the example model are deployed there, requests flow through
// the router while pods are replaced and killed, and what is wiped comes back from the database.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCli, type TestCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts, startInstallation, type Installation } from '../support/installation.ts';
import { ask, callDigits, change, deployVersion, look, untilReady } from '../support/live-system.ts';
import { pinnedTestImage } from '../support/kubernetes-cluster.ts';
import { Load } from '../support/load.ts';
import { productImage, type ProductImage } from './install/product-image.ts';
import { theCluster } from './cluster/testing.ts';

const cluster = await theCluster();
/** Of this run: others use the cluster too. */
const PREFIX = `whole-${process.pid}`;
const NAMESPACE = `${PREFIX}-example`;
const WEB = 'example/demo/web';
/** Replicas drain for as long as a request may take, and a few seconds more. */
const ON_CLUSTER = { clusters: [{ cluster: 'east' }], deadlineMs: 2_000 };
const project = { path: 'example/demo' };

let purser: Installation;
let cli: TestCli;
let image: ProductImage;

/** The address under which pods reach this machine: the API server's. */
async function hostAddress(): Promise<string> {
  const server = (await cluster.kubectl('config', 'view', '--minify', '-o', 'jsonpath={.clusters[0].cluster.server}')).trim();
  return new URL(server).hostname;
}

const registerWeb = async (environment: Record<string, string>) =>
  change(
    purser,
    `mutation ($input: RegisterModelVersionInput!) { registerModelVersion(input: $input) { modelVersion { number } userErrors { code message } } }`,
    {
      input: {
        model: { path: WEB },
        container: {
          image: await pinnedTestImage(),
          healthPath: '/healthz',
          environment: Object.entries(environment).map(([name, value]) => ({ name, value })),
        },
        resources: { cpuMilli: 50, memoryMib: 64 },
      },
    },
  );

const callWeb = (callers: number, path = '') =>
  new Load(`${purser.routerUrl}/${WEB}/${path}`, { authorization: `Bearer ${purser.adminToken}` }, callers, 'hello');

interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec: { readonly nodeName: string; readonly containers: readonly { readonly image: string }[] };
  readonly status: { readonly containerStatuses?: readonly { readonly containerID: string; readonly restartCount: number }[] };
}
const pods = async (): Promise<readonly PodObject[]> =>
  (await cluster.api.get<{ items: PodObject[] }>(`/api/v1/namespaces/${NAMESPACE}/pods`)).items;
const podsOf = async (name: string) =>
  (await pods()).filter(
    ({ metadata }) => metadata.labels['purser.dev/deployment'] === name && metadata.deletionTimestamp === undefined,
  );

/** USD. */
const NODE_PRICE_PER_HOUR = '3.6';
const NODE_PRICE_PER_MINUTE = 0.06;
const pricedNodes = ['node1', 'node2'];
/** The first whole minute since the nodes were seen with their price. */
let pricedFrom = 0;

beforeAll(async () => {
  if (!cluster.has('nodes')) return;
  await cluster.kubectl('annotate', 'node', ...pricedNodes, '--overwrite', `purser.dev/price-per-hour=${NODE_PRICE_PER_HOUR}`);
  const ports = await freePorts();
  const api = `http://${await hostAddress()}:${ports.PURSER_PORT ?? ''}`;
  [image, purser] = await Promise.all([
    productImage('whole'),
    startInstallation({ env: { ...ports, PURSER_HOST: '0.0.0.0', PURSER_API_URL: api } }),
  ]);
  await cluster.control.importImage(image);
  cli = openCli({ PURSER_URL: purser.apiUrl, PURSER_TOKEN: purser.adminToken });
  await change(
    purser,
    `mutation ($input: RegisterClusterInput!) { registerCluster(input: $input) { cluster { id } userErrors { code message } } }`,
    {
      input: {
        name: 'east',
        access: { kubeconfig: { file: cluster.kubeconfig } },
        namespacePrefix: PREFIX,
        systemNamespace: `${PREFIX}-system`,
        modelServerImage: image.pinned,
        routerCidrs: [`${await hostAddress()}/32`],
      },
    },
  );
  await eventually(async () => {
    const { clusters } = await ask<{
      clusters: { nodes: { nodes: { nodes: { name: string; pricePerHour: object | null }[] } }[] };
    }>(purser, '{ clusters(first: 5) { nodes { nodes(first: 10) { nodes { name pricePerHour { amount } } } } } }');
    const seen = clusters.nodes.flatMap(({ nodes }) => nodes.nodes).filter(({ pricePerHour }) => pricePerHour !== null);
    return pricedNodes.every((node) => seen.some(({ name }) => name === node));
  }, 60_000);
  pricedFrom = Math.floor(Date.now() / 60_000) + 1;
  await change(
    purser,
    `mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id } userErrors { code message } } }`,
    { input: { project, name: 'web' } },
  );
});
afterAll(async () => {
  if (!cluster.has('nodes')) return;
  cli.close();
  await purser.remove();
  image.remove();
  await cluster.kubectl('annotate', 'node', ...pricedNodes, 'purser.dev/price-per-hour-');
  for (const name of [NAMESPACE, `${PREFIX}-system`]) await cluster.deleteNamespace(name).catch(() => undefined);
});

describe.runIf(cluster.has('nodes'))('The whole system on a real cluster', () => {
  describe('Manifests: a container and the built-in server', () => {
    test('a container is deployed from the command line and answers through the router', async () => {
      await registerWeb({ VERSION: '1' });
      const ran = await cli.run(['deploy', WEB, '--replicas', '2', '--cluster', 'east', '--wait', '--timeout', '90']);
      expect(ran, ran.stderr).toMatchObject({ code: 0 });
      const response = await fetch(`${purser.routerUrl}/${WEB}/`, { headers: { authorization: `Bearer ${purser.adminToken}` } });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ version: '1' });
      expect(await podsOf('web')).toHaveLength(2);
    });

    test('the example model is deployed there too: the built-in server fetches it by reference', async () => {
      await deployVersion(purser, { project, name: 'digits-east', model: 'digits', ...ON_CLUSTER });
      await untilReady(purser, 'example/demo/digits-east');
      const load = callDigits(purser, 1, purser.adminToken, 'example/demo/digits-east');
      await eventually(() => load.answers.length >= 20);
      await load.stop();
      expect(load.failed).toEqual([]);
    });
  });

  describe('Route: from outside the cluster, through pod churn', () => {
    test('a rolling update loses no request', async () => {
      const load = callWeb(4);
      await registerWeb({ VERSION: '2' });
      await deployVersion(purser, { project, name: 'web', model: 'web', replicas: 2, ...ON_CLUSTER });
      await eventually(async () => (await look(purser, WEB)).revision?.number === 2, 60_000);
      await untilReady(purser, WEB);
      await eventually(async () => (await podsOf('web')).length === 2, 60_000);
      await load.stop();
      expect(load.failed).toEqual([]);
      expect(new Set(load.answers.map(({ revision }) => revision))).toEqual(new Set(['1', '2']));
    });

    test('a pod that is killed is replaced, and requests that may be repeated do not notice', async () => {
      await deployVersion(purser, { project, name: 'web', model: 'web', replicas: 2, retryable: true, ...ON_CLUSTER });
      await untilReady(purser, WEB);
      const load = callWeb(2);
      await eventually(() => load.answers.length > 20);
      const [victim] = await podsOf('web');
      const { containerID } = victim!.status.containerStatuses![0]!;
      await cluster.control.killContainer(victim!.spec.nodeName, containerID.replace('containerd://', ''));
      await eventually(async () => {
        const again = (await podsOf('web')).find(({ metadata }) => metadata.uid === victim!.metadata.uid);
        return (again?.status.containerStatuses?.[0]?.restartCount ?? 0) > 0;
      }, 60_000);
      await untilReady(purser, WEB);
      await load.stop();
      expect(load.failed).toEqual([]);
    });
  });

  describe('Scale to zero: replicas 0 and back', () => {
    test('scaled to 0 and back, requests are held while the pod starts', async () => {
      const asleep = { project, name: 'web', model: 'web', retryable: true, ...ON_CLUSTER, deadlineMs: 20_000 };
      await deployVersion(purser, { ...asleep, replicas: 0 });
      await eventually(async () => (await look(purser, WEB)).status.phase === 'HIBERNATED', 60_000);
      await eventually(async () => (await podsOf('web')).length === 0, 60_000);
      const call = () => fetch(`${purser.routerUrl}/${WEB}/`, { headers: { authorization: `Bearer ${purser.adminToken}` } });
      await eventually(async () => (await call()).status === 503);
      await deployVersion(purser, { ...asleep, replicas: 1 });
      // Refused at once until the router has heard of it, held from then on.
      const heldMs = await eventually(async () => {
        const began = performance.now();
        const { status } = await call();
        return status === 200 && performance.now() - began;
      }, 60_000);
      expect(heldMs).toBeGreaterThan(200);
      await deployVersion(purser, { ...asleep, replicas: 2 });
      await untilReady(purser, WEB);
    });
  });

  describe('Cost on Kubernetes: nodes shared out by what kubelets tell', () => {
    test('what nodes cost is shared out to the last digit', async () => {
      const minutes = await eventually(() => Math.max(0, Math.floor(Date.now() / 60_000) - pricedFrom) || false, 100_000);
      const range = {
        from: new Date(pricedFrom * 60_000).toISOString(),
        to: new Date((pricedFrom + minutes) * 60_000).toISOString(),
      };
      const { costs } = await ask<{
        costs: {
          rows: { key: { dimension: string; value: string }[]; cost: { amount: string }; nodeIdle: { amount: string } }[];
        };
      }>(
        purser,
        `query ($range: TimeRange!) { costs(range: $range, groupBy: [NODE]) { rows { key { dimension value } cost { amount } nodeIdle { amount } } } }`,
        { range },
      );
      const ours = costs.rows.filter(({ key }) => pricedNodes.some((node) => key[0]?.value.includes(node)));
      expect(ours).toHaveLength(pricedNodes.length);
      for (const { cost, nodeIdle } of ours) {
        expect(Number(cost.amount)).toBe(Number((NODE_PRICE_PER_MINUTE * minutes).toFixed(6)));
        expect(Number(nodeIdle.amount)).toBeGreaterThan(0);
        expect(Number(nodeIdle.amount)).toBeLessThan(Number(cost.amount));
      }
    });
  });

  describe('Rebuild: wiped, and back from the database alone', () => {
    test('wiped in the middle of a rollout, everything comes back: workloads, digests, weights and quotas; the rollout goes on', async () => {
      const workloads = async () =>
        (await pods())
          .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
          .map(({ metadata: { labels }, spec }) =>
            ['deployment', 'workload']
              .map((label) => labels[`purser.dev/${label}`])
              .concat(spec.containers[0]!.image)
              .join(' '),
          )
          .sort();
      const revision = async () => (await look(purser, WEB)).revision?.number ?? 0;
      const leaving = (await workloads()).filter((workload) => workload.startsWith('web '));
      const next = (await revision()) + 1;
      const shifting = callWeb(2);
      await registerWeb({ VERSION: '3' });
      await deployVersion(purser, { project, name: 'web', model: 'web', replicas: 2, ...ON_CLUSTER });
      await eventually(() => shifting.answers.some((answer) => answer.revision === String(next)), 60_000);
      await shifting.stop();
      const during = await workloads();
      expect(during).toEqual(expect.arrayContaining(leaving));
      await cluster.kubectl('delete', 'namespace', NAMESPACE, '--wait=true', '--timeout=60s');
      await untilReady(purser, WEB);
      await untilReady(purser, 'example/demo/digits-east');
      await eventually(async () => {
        expect(await workloads()).toEqual(during.filter((workload) => !leaving.includes(workload)));
      }, 60_000);
      expect(await revision()).toBe(next);
      const load = callWeb(2);
      await eventually(() => load.answers.length > 20);
      await load.stop();
      expect(load.failed).toEqual([]);
    });
  });
});
