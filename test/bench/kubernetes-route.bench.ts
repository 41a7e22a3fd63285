// How soon a pod that became ready is sent requests: a whole Purser with its router before an API server of this machine. Nothing runs on
// nodes: the bench writes what kubelets and controllers write, and answers at the addresses of the pods itself.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import type { KubernetesDeployment, Pod } from '../../src/kubernetes/api/objects.ts';
import { KUBERNETES_DEPLOYMENTS } from '../../src/kubernetes/api/resource.ts';
import { LABELS } from '../../src/kubernetes/manifests/names.ts';
import { startBareApiServer } from '../kubernetes/cluster/bare-api-server.ts';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';
import { clock, random } from '../support/kubernetes-world.ts';
import { change } from '../support/live-system.ts';
import type { BenchRow } from './bench-row.ts';
import { makeEndpointReady, makePod, tellStatus } from './kubernetes-objects.ts';

/** Deployments of one replica each, on their way together; their pods become ready one after the other. */
const PODS = 51;
/** Each begins at another moment between two looks of the loops. */
const LOOKS_MS = 500;
const PROJECT = { path: 'example/demo' };
const IMAGE = `images.example/web@sha256:${'0'.repeat(64)}`;
const WAIT_MS = 60_000;

interface StartingPod {
  readonly deployment: KubernetesDeployment;
  readonly pod: Pod;
  readonly address: string;
}

export async function run(): Promise<readonly BenchRow[]> {
  const [purser, cluster] = await Promise.all([startInstallation(), startBareApiServer()]);
  const api = KubernetesApi.of({ kind: 'kubeconfig_file', file: cluster.kubeconfig, context: null }, { clock, random });
  const replicas = new Replicas();
  try {
    await deployAll(purser, { kubeconfig: cluster.kubeconfig, port: await replicas.listen() });
    const pods = await startPods(api);
    const times: number[] = [];
    for (const pod of pods) times.push(await fromReadyToRequest({ purser, api, replicas }, pod));
    const at = (part: number): string => times.sort((a, b) => a - b)[Math.floor(times.length * part)]?.toFixed(0) ?? '';
    return [
      { name: `pod ready → first routed request, p50 of ${PODS}`, value: at(0.5), unit: 'ms', goal: '≤ 50' },
      { name: 'the same, p95', value: at(0.95), unit: 'ms' },
    ];
  } finally {
    await purser.remove();
    await api.close();
    await cluster.stop();
    replicas.close();
  }
}

/** What would run in the pods: one port, an address of the loopback network each. */
class Replicas {
  readonly #servers: Server[] = [];
  readonly #seen = new Map<string, number>();

  async listen(): Promise<number> {
    let port = 0;
    for (let n = 0; n < PODS; n += 1) {
      const address = addressOf(n);
      const server = createServer((_request, response) => {
        this.#seen.set(address, performance.now());
        response.end('hello');
      });
      this.#servers.push(server);
      await once(server.listen(port, address), 'listening');
      port = (server.address() as AddressInfo).port;
    }
    return port;
  }

  /** When the first request came to an address. */
  firstAt(address: string): number {
    const at = this.#seen.get(address);
    if (at === undefined) throw new Error(`nobody asked ${address}`);
    return at;
  }

  close(): void {
    for (const server of this.#servers) server.close();
  }
}

const addressOf = (n: number): string => `127.0.1.${n + 1}`;
const nameOf = (n: number): string => `web-${n}`;

const REGISTER = `mutation ($input: RegisterClusterInput!) { registerCluster(input: $input) { cluster { id } userErrors { code message } } }`;
const MODEL = `mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id } userErrors { code message } } }`;
const VERSION = `mutation ($input: RegisterModelVersionInput!) { registerModelVersion(input: $input) { modelVersion { id } userErrors { code message } } }`;
const DEPLOY = `mutation ($input: DeployInput!) { deploy(input: $input) { deployment { id } userErrors { code message } } }`;

async function deployAll(purser: Installation, { kubeconfig, port }: { kubeconfig: string; port: number }): Promise<void> {
  await change(purser, REGISTER, { input: { name: 'east', access: { kubeconfig: { file: kubeconfig } } } });
  await change(purser, MODEL, { input: { project: PROJECT, name: 'web' } });
  const resources = { cpuMilli: 50, memoryMib: 64 };
  await change(purser, VERSION, { input: { model: { path: 'example/demo/web' }, container: { image: IMAGE, port }, resources } });
  const wish = { project: PROJECT, model: 'web', replicas: 1, clusters: [{ cluster: 'east' }] };
  for (let n = 0; n < PODS; n += 1)
    await eventually(() => change(purser, DEPLOY, { input: { ...wish, name: nameOf(n) } }), WAIT_MS);
}

/** A pod for each, placed and not ready. */
async function startPods(api: KubernetesApi): Promise<readonly StartingPod[]> {
  const selection = { labelSelector: `${LABELS.managedBy}=purser` };
  const made = await eventually(async () => {
    const { items } = await api.list(KUBERNETES_DEPLOYMENTS, selection);
    return items.length === PODS && items;
  }, WAIT_MS);
  const pods: StartingPod[] = [];
  for (const [n, deployment] of made.entries()) {
    const pod = await makePod(api, deployment);
    await tellStatus(api, pod, { podIP: addressOf(n), ready: false });
    pods.push({ deployment, pod, address: addressOf(n) });
  }
  return pods;
}

interface World {
  readonly purser: Installation;
  readonly api: KubernetesApi;
  readonly replicas: Replicas;
}

/** A request waits in the router for the pod; counted from the API server's answer that the pod is ready, its endpoint comes after. */
async function fromReadyToRequest({ purser, api, replicas }: World, { deployment, pod, address }: StartingPod): Promise<number> {
  const name = deployment.metadata.labels?.[LABELS.deployment] ?? '';
  const url = `${purser.routerUrl}/${PROJECT.path}/${name}/`;
  const request = eventually(async () => {
    const response = await fetch(url, { headers: { authorization: `Bearer ${purser.adminToken}` } });
    return response.status === 200;
  }, WAIT_MS);
  await eventually(async () => (await routerStatus(purser)).inFlight === 1, WAIT_MS);
  // Waits for nothing: pods get ready when they like, not at the same moment of every look.
  await wait(Math.random() * LOOKS_MS);
  await tellStatus(api, pod, { podIP: address, ready: true });
  const ready = performance.now();
  await makeEndpointReady(api, deployment, pod);
  await request;
  return replicas.firstAt(address) - ready;
}

const routerStatus = async ({ routerUrl }: Installation): Promise<{ readonly inFlight: number }> =>
  (await (await fetch(`${routerUrl}/-/status`)).json()) as { inFlight: number };
