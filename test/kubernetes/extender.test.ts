// The real kube-scheduler, a second one beside the cluster's own, asks `purser extender` (a process) about pretended nodes; their prices come
// from a whole Purser that the cluster is registered with.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';
import { ended, startCompanion } from './companion.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';
import { freePorts } from './cluster/machine.ts';
import { kubeProgram } from './cluster/programs.ts';

const SCHEDULER = 'priced';
const PODS = '/api/v1/namespaces/default/pods';

let cluster: BareApiServer;
let purser: Installation;
let folder: string;
let url: string;
let scheduler: ChildProcess;
let extender: ChildProcess;

async function startExtender(port: number): Promise<ChildProcess> {
  const child = startCompanion('extender', purser, {
    kubeconfig: cluster.kubeconfig,
    settings: { PURSER_EXTENDER_PORT: String(port) },
  });
  await eventually(async () => (await fetch(`${url}/healthz`).catch(() => null))?.ok, 30_000);
  return child;
}

async function startScheduler(): Promise<ChildProcess> {
  const config = {
    apiVersion: 'kubescheduler.config.k8s.io/v1',
    kind: 'KubeSchedulerConfiguration',
    leaderElection: { leaderElect: false },
    clientConnection: { kubeconfig: cluster.kubeconfig },
    profiles: [{ schedulerName: SCHEDULER }],
    extenders: [
      {
        ...{ urlPrefix: url, filterVerb: 'filter', prioritizeVerb: 'prioritize', weight: 10 },
        ...{ nodeCacheCapable: true, ignorable: true, httpTimeout: '500ms' },
      },
    ],
  };
  const file = join(folder, 'scheduler.json');
  writeFileSync(file, JSON.stringify(config));
  const flags = [`--config=${file}`, '--secure-port=0'];
  return spawn(await kubeProgram(), ['kube-scheduler', ...flags], { stdio: ['ignore', 'ignore', 'ignore'] });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'purser-extender-'));
  [cluster, purser] = await Promise.all([startBareApiServer({ pretendedNodes: 3 }), startInstallation()]);
  const [port = 0] = await freePorts(1);
  url = `http://127.0.0.1:${port}`;
  await Promise.all([
    cluster.kubectl('annotate', 'node', 'node1', 'purser.dev/price-per-hour=2'),
    cluster.kubectl('annotate', 'node', 'node2', 'purser.dev/price-per-hour=0.5'),
    cluster.kubectl('annotate', 'node', 'node3', 'purser.dev/price-per-hour=0.8'),
    cluster.kubectl('label', 'node', 'node2', 'purser.dev/capacity-type=spot'),
    cluster.kubectl('create', 'priorityclass', 'important', '--value=1000'),
  ]);
  const cli = openCli({ PURSER_URL: purser.apiUrl, PURSER_TOKEN: purser.adminToken });
  await cli.json('clusters', 'register', 'east', '--kubeconfig', cluster.kubeconfig);
  cli.close();
  extender = await startExtender(port);
  scheduler = await startScheduler();
  await eventually(async () => Object.values(await scoresOf({})).some((score) => score > 0), 60_000);
});
afterAll(async () => {
  extender.kill('SIGKILL');
  scheduler.kill('SIGKILL');
  await Promise.all([ended(extender), ended(scheduler)]);
  await Promise.all([cluster.stop(), purser.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

interface PodWish {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly priorityClassName?: string;
}

interface PodEvent {
  readonly reason: string;
  readonly message: string;
  readonly involvedObject: { readonly name: string };
}

const podOf = (name: string, { annotations = {}, ...spec }: PodWish) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, annotations },
  spec: {
    ...{ schedulerName: SCHEDULER, ...spec },
    containers: [{ name: 'main', image: 'none', resources: { requests: { cpu: '400m', memory: '64Mi' } } }],
  },
});

async function ask(verb: string, body: unknown): Promise<{ status: number; json: unknown }> {
  const answer = await fetch(`${url}/${verb}`, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });
  return { status: answer.status, json: await answer.json() };
}

async function scoresOf(wish: PodWish): Promise<Record<string, number>> {
  const { json } = await ask('prioritize', { Pod: podOf('asked', wish), NodeNames: ['node1', 'node2', 'node3'] });
  return Object.fromEntries((json as { Host: string; Score: number }[]).map(({ Host, Score }) => [Host, Score]));
}

/** The node that the pod was bound to; its name is of this test alone. */
async function placed(name: string, wish: PodWish = {}): Promise<string> {
  await cluster.api.create(PODS, podOf(name, wish));
  return eventually(async () => {
    const pod = await cluster.api.get<{ spec: { nodeName?: string } }>(`${PODS}/${name}`);
    return pod.spec.nodeName ?? false;
  }, 30_000);
}

/** Why the scheduler found no node for it, in the words of its event. */
async function refused(name: string, wish: PodWish): Promise<string> {
  await cluster.api.create(PODS, podOf(name, wish));
  return eventually(async () => {
    const { items } = await cluster.api.get<{ items: PodEvent[] }>('/api/v1/namespaces/default/events');
    const ofPod = items.filter(({ involvedObject }) => involvedObject.name === name);
    return ofPod.findLast(({ reason }) => reason === 'FailedScheduling')?.message ?? false;
  }, 30_000);
}

describe("In other clusters' schedulers: the real kube-scheduler asks what nodes cost", () => {
  test('a pod of somebody else goes where its share costs least', async () => {
    expect(await scoresOf({})).toEqual({ node1: 2, node2: 10, node3: 6 });
    expect(await placed('cheap')).toBe('node2');
  });

  test('a pod says which capacity it takes; an important one would rather pay more than be moved', async () => {
    expect(await placed('kept', { annotations: { 'purser.dev/capacity-type': 'on_demand' } })).toBe('node3');
    expect(await scoresOf({ priorityClassName: 'important' })).toEqual({ node1: 2, node2: 10, node3: 6 });
    expect(await placed('important', { priorityClassName: 'important' })).toBe('node3');
  });

  test('a pod that may cost so much goes nowhere dearer, and its event says what it would cost', async () => {
    const message = await refused('capped', { annotations: { 'purser.dev/max-price-per-hour': '0.01' } });
    expect(message).toContain('The pod would cost 0.05 USD per hour there; it may cost 0.01.');
    const wrong = await refused('misspelt', { annotations: { 'purser.dev/capacity-type': 'cheap' } });
    expect(wrong).toContain('takes on_demand, spot, reserved');
  });

  test('a node that will be taken away gets no new pods as long as there is another', async () => {
    await cluster.kubectl('annotate', 'node', 'node2', 'purser.dev/interruption=The market wants it back.');
    await eventually(async () => {
      const { json } = await ask('filter', { Pod: podOf('asked', {}), NodeNames: ['node1', 'node2', 'node3'] });
      return (json as { NodeNames: string[] }).NodeNames.join() === 'node1,node3';
    });
    expect(await placed('warned')).toBe('node3');
    await cluster.kubectl('annotate', 'node', 'node2', 'purser.dev/interruption-');
  });

  test('questions that are none are refused in words, and the next one is answered', async () => {
    expect(await ask('filter', '{')).toEqual({ status: 400, json: { error: 'The question is no JSON.' } });
    expect((await ask('filter', { Pod: podOf('x', {}), Nodes: { items: [] } })).json).toEqual({
      error: 'The question names no nodes: set nodeCacheCapable: true for this extender.',
    });
    expect((await ask('prioritize', { NodeNames: ['node1'] })).status).toBe(400);
    expect((await ask('bind', {})).status).toBe(404);
    expect((await ask('filter', 'x'.repeat(9 * 1024 * 1024))).status).toBe(413);
    expect((await scoresOf({}))['node2']).toBe(10);
  });

  test('one that is frozen, and one that is dead, never keeps a pod waiting', async () => {
    extender.kill('SIGSTOP');
    await placed('while-frozen');
    extender.kill('SIGKILL');
    await ended(extender);
    await placed('while-dead');
    extender = await startExtender(Number(new URL(url).port));
    await eventually(async () => (await scoresOf({}))['node2'] === 10, 30_000);
  });

  test('it goes on with the last prices while the API is away', async () => {
    await purser.stop();
    expect(await scoresOf({})).toEqual({ node1: 2, node2: 10, node3: 6 });
    expect(await placed('without-api')).toBe('node2');
  });
});
