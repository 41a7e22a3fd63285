// A whole Purser in front of a real cluster, with nodes of this file's own that are drained, interrupted and lost, and a provider that starts
// and stops real ones.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/main/package-root.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts, startInstallation, type Installation } from '../support/installation.ts';
import { pinnedTestImage } from '../support/kubernetes-cluster.ts';
import { ask, change, deployVersion, look, rowsOf, untilReady } from '../support/live-system.ts';
import { Load } from '../support/load.ts';
import type { ApiObject } from './cluster/api.ts';
import { theCluster } from './cluster/testing.ts';

const cluster = await theCluster();
const PREFIX = `nodes-${process.pid}`;
const NAMESPACE = `${PREFIX}-example`;
const project = { path: 'example/demo' };
/** Kubelets, schedulers and pulls of a busy machine. */
const SOON_MS = 90_000;
const CALLERS = 4;
const CUT_MS = 40_000;

let purser: Installation;
let folder: string;
/** Two nodes of the pool `steady`. */
let steady: readonly string[] = [];
const deployed: string[] = [];
/** The node whose kubelet was killed, and the one that was cut off. */
let silenced: string | null = null;
let cutOff: string | null = null;

const pool = (name: string) => ({ name, nodeSelector: [{ key: 'purser.dev/pool', value: `${PREFIX}-${name}` }] });
const poolShape = (name: string) => ({
  labels: { 'purser.dev/pool': `${PREFIX}-${name}` },
  taints: [{ key: 'purser.dev/pool', value: `${PREFIX}-${name}`, effect: 'NoSchedule' }],
});

/** The provider's program with its settings, as an operator would wrap it. */
function writeCommand(): string {
  const file = join(folder, 'rent-nodes');
  const node = join(packageRoot, 'node_modules', 'node', 'bin', 'node');
  const script = join(packageRoot, 'test', 'support', 'node-command.mjs');
  const socket = join(dirname(cluster.kubeconfig), 'control.sock');
  writeFileSync(file, `#!/bin/sh\nexec '${node}' '${script}' '${socket}' '${join(folder, 'machines.json')}' "$@"\n`);
  chmodSync(file, 0o755);
  return file;
}

async function registerCluster(): Promise<void> {
  const server = (await cluster.kubectl('config', 'view', '--minify', '-o', 'jsonpath={.clusters[0].cluster.server}')).trim();
  await change(
    purser,
    `mutation ($input: RegisterClusterInput!) { registerCluster(input: $input) { cluster { id } userErrors { code message } } }`,
    {
      input: {
        name: 'east',
        access: { kubeconfig: { file: cluster.kubeconfig } },
        namespacePrefix: PREFIX,
        systemNamespace: `${PREFIX}-system`,
        routerCidrs: [`${new URL(server).hostname}/32`],
        pools: [pool('steady'), pool('burst')].map((one) => ({ ...one, name: one.nodeSelector[0]?.value ?? '' })),
      },
    },
  );
}

async function deployWeb(name: string, options: { replicas: number; pool: string; cpuMilli?: number }): Promise<string> {
  const { replicas, cpuMilli = 50 } = options;
  await change(
    purser,
    `mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id } userErrors { code message } } }`,
    { input: { project, name } },
  );
  await change(
    purser,
    `mutation ($input: RegisterModelVersionInput!) { registerModelVersion(input: $input) { modelVersion { number } userErrors { code message } } }`,
    {
      input: {
        model: { path: `example/demo/${name}` },
        container: { image: await pinnedTestImage(), healthPath: '/healthz' },
        resources: { cpuMilli, memoryMib: 64 },
      },
    },
  );
  const clusters = [{ cluster: 'east', pool: `${PREFIX}-${options.pool}` }];
  await deployVersion(purser, { project, name, model: name, replicas, clusters, deadlineMs: 2_000 });
  deployed.push(`example/demo/${name}`);
  return `example/demo/${name}`;
}

const remove = (path: string) =>
  change(
    purser,
    `mutation ($path: String!) { deleteDeployment(input: { deployment: { path: $path } }) { deployment { id } userErrors { code message } } }`,
    { path },
  );

const callers = (path: string, count: number) =>
  new Load(`${purser.routerUrl}/${path}/`, { authorization: `Bearer ${purser.adminToken}` }, count, 'hello');

/** The pod that answers one request. */
async function hostOf(path: string): Promise<string> {
  const response = await fetch(`${purser.routerUrl}/${path}/`, { headers: { authorization: `Bearer ${purser.adminToken}` } });
  return ((await response.json()) as { host: string }).host;
}

interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec: { readonly nodeName?: string };
}
const podsOf = async (name: string) => {
  const pods = (await cluster.api.list(`/api/v1/namespaces/${NAMESPACE}/pods`)) as (ApiObject & PodObject)[];
  return pods
    .filter(({ metadata }) => metadata.labels['purser.dev/deployment'] === name && metadata.deletionTimestamp === undefined)
    .map(({ metadata, spec }) => ({ name: metadata.name, node: spec.nodeName ?? null }));
};

interface SeenNode {
  readonly name: string;
  readonly readiness: string;
  readonly schedulable: boolean;
  readonly notice: string | null;
  readonly pods: number;
}
const nodes = async (): Promise<readonly SeenNode[]> => {
  const { clusters } = await ask<{ clusters: { nodes: { name: string; nodes: { nodes: SeenNode[] } }[] } }>(
    purser,
    `{ clusters(first: 5) { nodes { name nodes(first: 15) { nodes { name readiness schedulable notice pods } } } } }`,
  );
  return clusters.nodes.find(({ name }) => name === 'east')?.nodes.nodes ?? [];
};
const nodeCalled = async (name: string) => (await nodes()).find((node) => node.name === name);

const eventTypes = async (prefix: string) => {
  const { events } = await ask<{ events: { events: { type: string; message: string }[] } }>(
    purser,
    `query ($types: [String!]) { events(last: 50, filter: { types: $types }) { events { type message } } }`,
    { types: [prefix] },
  );
  return events.events;
};

beforeAll(async () => {
  if (!cluster.has('nodes')) return;
  folder = mkdtempSync(join(tmpdir(), 'purser-nodes-'));
  const env = { ...(await freePorts()), PURSER_NODE_COMMAND: writeCommand() };
  purser = await startInstallation({ env });
  steady = await Promise.all([cluster.control.addNode(poolShape('steady')), cluster.control.addNode(poolShape('steady'))]);
  await registerCluster();
}, 300_000);

afterAll(async () => {
  if (!cluster.has('nodes')) return;
  await purser.remove();
  for (const name of [NAMESPACE, `${PREFIX}-system`]) await cluster.deleteNamespace(name).catch(() => undefined);
  const mine = await cluster.api.list(`/api/v1/nodes?labelSelector=purser.dev/pool in (${PREFIX}-steady,${PREFIX}-burst)`);
  for (const name of new Set([...steady, ...mine.map(({ metadata }) => metadata.name)]))
    await cluster.control.removeNode(name).catch(() => undefined);
  rmSync(folder, { recursive: true, force: true });
}, 300_000);

/** What a test does to the nodes, and what was deployed, is undone whatever came of it. */
async function tidy(): Promise<void> {
  if (silenced !== null) await cluster.control.startKubelet(silenced);
  silenced = null;
  await heal();
  for (const path of deployed.splice(0)) await remove(path);
  await eventually(async () => (await cluster.api.list(`/api/v1/namespaces/${NAMESPACE}/pods`)).length === 0, SOON_MS);
  for (const name of steady) {
    await cluster.kubectl('taint', 'node', name, 'purser.dev/interruption-').catch(() => undefined);
    await cluster.kubectl('uncordon', name);
  }
}

async function heal(): Promise<void> {
  const node = cutOff;
  cutOff = null;
  if (node !== null) await cluster.control.healNetwork(node);
}

/** The most replicas that the ledger has as serving at any one time. */
async function mostServing(name: string): Promise<number> {
  const rows = await rowsOf<{ replica: string; at: string; state: string }>(
    purser,
    `with own as (select r.* from replica r join deployment d on d.id = r.deployment_id where d.name = $1)
     select own.id as replica, t.at, t.state from own join replica_transition t on t.replica_id = own.id
     union all select id, capacity_until, 'gone' from own where capacity_until is not null order by at`,
    [name],
  );
  const serving = new Set<string>();
  let most = 0;
  for (const [, changes] of Map.groupBy(rows, ({ at }) => at)) {
    for (const { replica, state } of changes) {
      if (state === 'serving') serving.add(replica);
      else serving.delete(replica);
    }
    most = Math.max(most, serving.size);
  }
  return most;
}

describe.runIf(cluster.has('nodes'))('Spot and nodes: on a real cluster', () => {
  afterEach(tidy);

  test('are in the API, with who is on them', async () => {
    const path = await deployWeb('seen', { replicas: 2, pool: 'steady' });
    await untilReady(purser, path);
    await eventually(async () => {
      const mine = (await nodes()).filter(({ name }) => steady.includes(name));
      expect(mine.map(({ readiness, pods }) => [readiness, pods])).toEqual([
        ['READY', 1],
        ['READY', 1],
      ]);
    }, SOON_MS);
  });

  test('an interruption notice moves the only replica without losing a request, and the old one gets none afterwards', async () => {
    const path = await deployWeb('spot', { replicas: 1, pool: 'steady' });
    await untilReady(purser, path);
    const old = await hostOf(path);
    const [{ node } = { node: null }] = await podsOf('spot');
    const load = callers(path, 4);
    await cluster.kubectl('taint', 'node', node ?? '', 'purser.dev/interruption=spot:NoSchedule');
    await eventually(async () => (await hostOf(path)) !== old, SOON_MS);
    for (let n = 0; n < 50; n += 1) expect(await hostOf(path)).not.toBe(old);
    await eventually(async () => (await podsOf('spot')).every((pod) => pod.name !== old && pod.node !== node), SOON_MS);
    await load.stop();
    expect(load.failed).toEqual([]);
    expect((await nodeCalled(node ?? ''))?.notice).toContain('purser.dev/interruption');
    expect((await eventTypes('node.')).map(({ type }) => type)).toContain('node.interrupted');
  });

  test('a node that is cordoned and drained by hand loses no request', async () => {
    const path = await deployWeb('drained', { replicas: 2, pool: 'steady' });
    await untilReady(purser, path);
    const [first = ''] = steady;
    const load = callers(path, 4);
    await cluster.kubectl('drain', first, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=90s');
    expect((await podsOf('drained')).filter(({ node }) => node === first)).toEqual([]);
    await untilReady(purser, path);
    await load.stop();
    expect(load.failed).toEqual([]);
    await eventually(async () => (await nodeCalled(first))?.schedulable === false, SOON_MS);
    await cluster.kubectl('uncordon', first);
    await eventually(async () => (await nodeCalled(first))?.schedulable === true, SOON_MS);
  });

  test('kubelet killed: a lost node is unknown, never gone; its replica is replaced, and the two never count as serving together', async () => {
    const path = await deployWeb('lost', { replicas: 1, pool: 'steady' });
    await untilReady(purser, path);
    const [{ name, node } = { name: '', node: null }] = await podsOf('lost');
    silenced = node;
    await cluster.control.killKubelet(node ?? '');
    await eventually(async () => (await nodeCalled(node ?? ''))?.readiness === 'UNKNOWN', SOON_MS);
    expect((await eventTypes('node.')).map(({ type }) => type)).toContain('node.unreachable');
    let most = 0;
    await eventually(async () => {
      const serving = (await look(purser, path)).replicas.filter(({ state }) => state === 'SERVING');
      most = Math.max(most, serving.length);
      return (await podsOf('lost')).some((pod) => pod.name !== name) && serving.length === 1 && (await hostOf(path)) !== name;
    }, SOON_MS);
    expect(most).toBe(1);
    const held = (await look(purser, path)).replicas.map(({ state }) => state);
    expect([held.length, held.filter((state) => state === 'SERVING').length]).toEqual([2, 1]);
    await cluster.control.startKubelet(node ?? '');
    silenced = null;
    await eventually(async () => (await look(purser, path)).replicas.length === 1, SOON_MS);
    await eventually(async () => (await nodeCalled(node ?? ''))?.readiness === 'READY', SOON_MS);
  });

  test('node network cut for 40 s under load: its replica is replaced, requests go on, and it heals without doubling', async () => {
    const path = await deployWeb('cut', { replicas: 2, pool: 'steady' });
    await untilReady(purser, path);
    const [{ name, node } = { name: '', node: null }] = await podsOf('cut');
    const load = callers(path, CALLERS);
    await eventually(() => load.answers.length > 100, SOON_MS);
    const cutAt = Date.now();
    cutOff = node;
    await cluster.control.cutNetwork(node ?? '');
    await eventually(async () => (await nodeCalled(node ?? ''))?.readiness === 'UNKNOWN', SOON_MS);
    await eventually(async () => {
      const { replicas } = await look(purser, path);
      const standing = await podsOf('cut');
      return (
        standing.length === 2 &&
        standing.every((pod) => pod.name !== name) &&
        replicas.filter(({ state }) => state === 'SERVING').length === 2
      );
    }, SOON_MS);
    // What was sent over connections that were open to what was cut off, one of each caller.
    const lost = load.failed;
    expect(lost.length).toBeLessThanOrEqual(CALLERS);
    const answered = load.answers.length;
    await eventually(() => Date.now() - cutAt >= CUT_MS, SOON_MS);
    expect(load.answers.length).toBeGreaterThan(answered + 100);
    await heal();
    await eventually(async () => (await nodeCalled(node ?? ''))?.readiness === 'READY', SOON_MS);
    await eventually(async () => (await look(purser, path)).replicas.length === 2, SOON_MS);
    await load.stop();
    expect(load.failed).toEqual(lost);
    expect((await podsOf('cut')).map((pod) => pod.name)).not.toContain(name);
    expect(await mostServing('cut')).toBe(2);
  });
});

describe.runIf(cluster.has('nodes'))('Nodes scale: on a real cluster', () => {
  test('replicas that fit no node make a pool grow; nodes without work are given back', async () => {
    const { clusters } = await ask<{
      clusters: { nodes: { id: string; name: string; pools: { id: string; name: string }[] }[] };
    }>(purser, `{ clusters(first: 5) { nodes { id name pools { id name } } } }`);
    const east = clusters.nodes.find(({ name }) => name === 'east');
    const burst = east?.pools.find(({ name }) => name === `${PREFIX}-burst`);
    const settings = [{ name: 'idleSeconds', value: '5' }];
    await change(
      purser,
      `mutation ($input: SetPoolScalingInput!) { setPoolScaling(input: $input) { pool { id } userErrors { code message } } }`,
      { input: { pool: burst?.id, provider: 'command', maxNodes: 1, settings } },
    );
    const path = await deployWeb('burst', { replicas: 1, pool: 'burst' });
    await untilReady(purser, path);
    const [{ node } = { node: null }] = await podsOf('burst');
    expect(steady).not.toContain(node);
    const grown = (await eventTypes('pool.')).filter(({ type }) => type === 'pool.grown');
    expect(grown.map(({ message }) => message)).toEqual([expect.stringMatching(/from 0 to 1 nodes/)]);
    await remove(path);
    await eventually(async () => (await eventTypes('pool.')).some(({ type }) => type === 'pool.shrunk'), SOON_MS);
    await eventually(async () => (await nodeCalled(node ?? '')) === undefined, SOON_MS);
    await cluster.control.removeNode(node ?? '');

    // Taken out of its cluster, it is given up at its provider, too; what was decided about it can still be read.
    const taken = `mutation ($input: UpdateClusterInput!) { updateCluster(input: $input) { cluster { id } userErrors { code message } } }`;
    await change(purser, taken, { input: { cluster: east?.id, removePools: [burst?.name] } });
    await eventually(async () => (await eventTypes('pool.')).some(({ type }) => type === 'pool.given_back'), SOON_MS);
    expect(Object.keys((JSON.parse(readFileSync(join(folder, 'machines.json'), 'utf8')) as { pools: object }).pools)).toEqual([]);
    const { decisions } = await ask<{ decisions: { nodes: { reasons: string[]; chosen: { nodes: number } }[] } }>(
      purser,
      `query ($pool: ID!) { decisions(subject: $pool, kind: SCALE_POOL) { nodes { reasons chosen } } }`,
      { pool: burst?.id },
    );
    expect(decisions.nodes.map(({ chosen, reasons }) => [chosen.nodes, reasons])).toEqual([
      [0, [expect.stringMatching(/^No work for /)]],
      [1, [expect.stringMatching(/^Pods that no node has taken need 1 more\.$/)]],
    ]);
  }, 300_000);
});
