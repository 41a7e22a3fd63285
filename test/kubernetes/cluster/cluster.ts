// A whole cluster: control plane and nodes of this machine. The process that starts it owns it; tests in other processes ask the owner over
// the socket beside the kubeconfig (control.ts).
import { copyFileSync, existsSync, linkSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient, isStatus } from './api.ts';
import { tryCgroups } from './cgroups.ts';
import { ControlPlane } from './control-plane.ts';
import { ControlServer } from './control.ts';
import { startDns } from './dns.ts';
import { FakeNodes } from './fake-nodes.ts';
import { testImages } from './images.ts';
import { isRoot, log, tryRun, until } from './machine.ts';
import {
  MAX_NODES,
  apiServiceAddress,
  hostAddress,
  makeBridge,
  removeNodeNetwork,
  routeServicesThrough,
  serviceRange,
  tryBridges,
} from './network.ts';
import { RealNode } from './node.ts';
import type { NodeShape } from './node-settings.ts';
import type { BuiltImage } from './oci-image.ts';
import { nodeRuntime, type NodeRuntime } from './packages.ts';
import { containerProgram, kubeProgram } from './programs.ts';
import { takeBareFolder, takeSlot, type RunFolder } from './run-folder.ts';

export interface ClusterOptions {
  readonly nodes: number | readonly NodeShape[];
  /** API server and pretended nodes, which any user may start. Default: when there are no rights to start real ones. */
  readonly fakeNodes?: boolean;
}

/** A node registers within ten seconds on an idle machine. */
const READY_MS = 90_000;
const NODE_NAMES = Array.from({ length: MAX_NODES }, (_, index) => `node${index + 1}`);

export interface OwnedCluster {
  readonly kubeconfig: string;
  readonly realNodes: boolean;
  stop(): Promise<void>;
}

/** Starts a cluster that lives until `stop()` or the end of this process. */
export async function startCluster(options: ClusterOptions): Promise<OwnedCluster> {
  const shapes = typeof options.nodes === 'number' ? Array.from({ length: options.nodes }, (): NodeShape => ({})) : options.nodes;
  const reason = options.fakeNodes === true ? 'as asked' : await whyNoNodes();
  if (reason === null) return startRealCluster(shapes);
  log(`no real nodes (${reason}): pods are pretended, and the tests that need real ones are skipped`);
  return startFakeCluster(shapes);
}

/** Null where real nodes can start. */
async function whyNoNodes(): Promise<string | null> {
  if (process.platform !== 'linux') return 'this is not Linux';
  if (!isRoot()) return 'they need root';
  if (!(await tryRun(['unshare', '--mount', '--pid', '--net', '--fork', 'true']))) return 'namespaces are not allowed here';
  const trials: [string, () => Promise<unknown>][] = [
    ["Debian's packages are not to be had", nodeRuntime],
    ['cgroups cannot be made', tryCgroups],
    ['bridges cannot be made', tryBridges],
  ];
  for (const [complaint, trial] of trials) {
    const error = await trial().then(
      () => null,
      (reason: unknown) => String(reason),
    );
    if (error !== null) return `${complaint}: ${error}`;
  }
  return null;
}

async function startRealCluster(shapes: readonly NodeShape[]): Promise<OwnedCluster> {
  const [kube, container, runtime, images] = [
    await kubeProgram(),
    await containerProgram(),
    await nodeRuntime(),
    await testImages(),
  ];
  const folder = await takeSlot();
  const cluster = new RealCluster({ kube, container, runtime, images, folder });
  try {
    await cluster.start(shapes);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

interface RealClusterParts {
  readonly kube: string;
  readonly container: string;
  readonly runtime: NodeRuntime;
  readonly images: readonly BuiltImage[];
  readonly folder: RunFolder;
}

export class RealCluster implements OwnedCluster {
  readonly realNodes = true;
  readonly #parts: RealClusterParts;
  readonly #slot: number;
  readonly #nodes = new Map<string, RealNode>();
  readonly #images: Map<string, BuiltImage>;
  #plane: ControlPlane | null = null;
  #control: ControlServer | null = null;

  constructor(parts: RealClusterParts) {
    this.#parts = parts;
    this.#slot = parts.folder.slot ?? 0;
    this.#images = new Map(parts.images.map((image) => [image.name, image]));
  }

  get kubeconfig(): string {
    return join(this.#parts.folder.path, 'admin.kubeconfig');
  }

  async start(shapes: readonly NodeShape[]): Promise<void> {
    await makeBridge(this.#slot);
    this.#plane = await ControlPlane.start({
      kube: this.#parts.kube,
      folder: this.#parts.folder,
      address: hostAddress(this.#slot),
      serviceRange: serviceRange(this.#slot),
      apiServiceAddress: apiServiceAddress(this.#slot),
      full: true,
      nodes: NODE_NAMES,
    });
    await startDns(this.#plane, this.#slot);
    await Promise.all(shapes.map((shape) => this.addNode(shape)));
    this.#control = await ControlServer.listen(join(this.#parts.folder.path, 'control.sock'), {
      nodes: () => Promise.resolve([...this.#nodes.values()].map(({ name, address, running }) => ({ name, address, running }))),
      addNode: (shape) => this.addNode(shape),
      removeNode: (name) => this.removeNode(name),
      stopNode: async (name) => {
        await this.#node(name).kill();
        await this.#routeServices();
      },
      startNode: (name) => this.#boot(this.#node(name)),
      killKubelet: (name) => this.#node(name).killKubelet(),
      startKubelet: (name) => {
        this.#node(name).startKubelet();
        return Promise.resolve();
      },
      cutNetwork: (name, part = 'node') => this.#node(name).cutNetwork(part),
      healNetwork: (name) => this.#node(name).healNetwork(),
      killContainer: (name, id) => this.#node(name).killContainer(id),
      importImage: (image) => this.importImage(image),
    });
  }

  /** Gives the node's name; it is Ready when this returns. */
  async addNode(shape: NodeShape): Promise<string> {
    const name = NODE_NAMES.find((candidate) => !this.#nodes.has(candidate));
    if (name === undefined || this.#plane === null) throw new Error(`a cluster has at most ${MAX_NODES} nodes`);
    const { kube, container, folder, runtime } = this.#parts;
    const number = NODE_NAMES.indexOf(name) + 1;
    const credentials = {
      kubeconfig: this.#plane.kubeconfig(name),
      proxyKubeconfig: this.#plane.kubeconfig('proxy'),
      authority: this.#plane.path('ca.crt'),
    };
    const node = new RealNode({ kube, container, folder, runtime, slot: this.#slot, number, shape, ...credentials });
    this.#nodes.set(name, node);
    try {
      await node.create();
      await this.#boot(node);
      return name;
    } catch (error) {
      await this.removeNode(name);
      throw error;
    }
  }

  /** Its power is cut and its object deleted, as a cloud takes a machine away. */
  async removeNode(name: string): Promise<void> {
    const node = this.#node(name);
    await node.kill();
    await removeNodeNetwork(this.#slot, NODE_NAMES.indexOf(name) + 1);
    this.#nodes.delete(name);
    await this.#routeServices();
    await this.#withApi((api) => api.delete(`/api/v1/nodes/${name}`)).catch((error: unknown) => {
      if (!isStatus(error, 404)) throw error;
    });
  }

  /** On all nodes that run, and on those that come later; the archive may go afterwards. */
  async importImage(image: BuiltImage): Promise<void> {
    const kept = { ...image, archive: this.#keep(image) };
    const running = [...this.#nodes.values()].filter((node) => node.running);
    await Promise.all(running.map((node) => node.importImage(kept)));
    this.#images.set(image.name, kept);
  }

  #keep({ archive, digest }: BuiltImage): string {
    const folder = join(this.#parts.folder.path, 'images');
    mkdirSync(folder, { recursive: true });
    const path = join(folder, `${digest.replace(':', '-')}.tar`);
    if (existsSync(path)) return path;
    try {
      linkSync(archive, path);
    } catch {
      // It lies on another disk.
      copyFileSync(archive, path);
    }
    return path;
  }

  async stop(): Promise<void> {
    await this.#control?.close();
    await Promise.all([...this.#nodes.values()].map((node) => node.kill()));
    await this.#plane?.stop();
    await this.#parts.folder.remove();
  }

  async #boot(node: RealNode): Promise<void> {
    if (node.running) return;
    await node.boot();
    for (const image of this.#images.values()) await node.importImage(image);
    const since = Date.now();
    node.startKubelet();
    node.startProxy();
    await this.#withApi((api) => until(`${node.name} being Ready`, READY_MS, () => isReadySince(api, node.name, since)));
    await this.#routeServices();
  }

  async #routeServices(): Promise<void> {
    const number = NODE_NAMES.findIndex((name) => this.#nodes.get(name)?.running === true) + 1;
    if (number > 0) await routeServicesThrough(this.#slot, number);
  }

  async #withApi<T>(use: (api: ApiClient) => Promise<T>): Promise<T> {
    const api = await ApiClient.of(this.kubeconfig);
    return use(api).finally(() => api.close());
  }

  #node(name: string): RealNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }
}

/** A node that was away is called Ready for a while: only a sign of life of this start counts. */
async function isReadySince(api: ApiClient, name: string, since: number): Promise<boolean> {
  const lease = await api.get(`/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`);
  if (Date.parse(String(lease.spec?.['renewTime'])) < since) return false;
  const { status } = await api.get(`/api/v1/nodes/${name}`);
  const conditions = (status?.['conditions'] ?? []) as { type: string; status: string }[];
  return conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True');
}

async function startFakeCluster(shapes: readonly NodeShape[]): Promise<OwnedCluster> {
  const kube = await kubeProgram();
  const folder = await takeBareFolder();
  const started: { stop(): Promise<void> }[] = [folder].map((taken) => ({ stop: () => taken.remove() }));
  const stop = async () => {
    for (const part of started.toReversed()) await part.stop();
  };
  try {
    const local = { address: '127.0.0.1', serviceRange: serviceRange(0), apiServiceAddress: apiServiceAddress(0) };
    const plane = await ControlPlane.start({ kube, folder, ...local, full: true, nodes: [] });
    started.push(plane);
    const kubeconfig = plane.kubeconfig('admin');
    started.push(await FakeNodes.start(kubeconfig, shapes));
    return { kubeconfig, realNodes: false, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
