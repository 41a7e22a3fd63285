// One real node: containerd, kubelet and kube-proxy in namespaces of their own. Ending their first process ends all of it, pods included.
import { copyFileSync, existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { harnessSources } from './cache.ts';
import { cgroupOf, makeCgroup, removeCgroup } from './cgroups.ts';
import { Hopeless, run, until } from './machine.ts';
import {
  cutNetwork,
  dnsServiceAddress,
  healNetwork,
  inNetworkOf,
  makeNodeNetwork,
  nodeAddress,
  type CutPart,
} from './network.ts';
import {
  containerdSettings,
  kubeletSettings,
  podNetworkSettings,
  proxySettings,
  socketOf,
  type NodeSettings,
  type NodeShape,
} from './node-settings.ts';
import type { BuiltImage } from './oci-image.ts';
import type { NodeRuntime } from './packages.ts';
import { childrenOf, endProcess, isAlive, Program, type ProcessIdentity } from './processes.ts';
import type { RunFolder } from './run-folder.ts';

export interface NodeOptions {
  readonly kube: string;
  readonly container: string;
  readonly folder: RunFolder;
  readonly slot: number;
  /** 1 to 15; its name is "node<number>". */
  readonly number: number;
  readonly kubeconfig: string;
  readonly proxyKubeconfig: string;
  readonly authority: string;
  readonly runtime: NodeRuntime;
  readonly shape: NodeShape;
}

const START_MS = 60_000;
/** overlayfs cannot lie on overlayfs (a test in a container): there layers are copied. */
const OVERLAYFS_MAGIC = 0x794c7630;

export class RealNode {
  readonly name: string;
  readonly #options: NodeOptions;
  readonly #folder: string;
  readonly #settings: NodeSettings;
  #outer: Program | null = null;
  #init: ProcessIdentity | null = null;
  #parts = new Map<string, Program>();
  /** Digests by name; they stay on the node's disk when it stops. */
  readonly #images = new Map<string, string>();

  constructor(options: NodeOptions) {
    this.#options = options;
    this.name = `node${options.number}`;
    this.#folder = join(options.folder.path, this.name);
    mkdirSync(this.#folder, { recursive: true });
    const { slot, number, authority, proxyKubeconfig, runtime, shape } = options;
    const snapshotter = statfsSync(this.#folder).type === OVERLAYFS_MAGIC ? 'native' : 'overlayfs';
    const own = { name: this.name, folder: this.#folder, snapshotter };
    this.#settings = { slot, number, authority, proxyKubeconfig, runtime, shape, ...own };
  }

  get running(): boolean {
    return this.#init !== null && isAlive(this.#init);
  }

  get address(): string {
    return nodeAddress(this.#options.slot, this.#options.number);
  }

  /** Its network, then its programs; the images are the caller's business. */
  async create(): Promise<void> {
    await makeNodeNetwork(this.#options.slot, this.#options.number);
    for (const name of ['run', 'network', 'pod-logs', 'volume-plugins']) mkdirSync(join(this.#folder, name), { recursive: true });
    this.#write('containerd.toml', containerdSettings(this.#settings));
    this.#write('kubelet.json', kubeletSettings(this.#settings));
    this.#write('proxy.json', proxySettings(this.#settings));
    this.#write('network/10-pods.conflist', podNetworkSettings(this.#settings));
    this.#write('resolv.conf', `nameserver ${dnsServiceAddress(this.#options.slot)}\n`);
    copyFileSync(this.#options.container, join(this.#folder, 'pause'));
  }

  /** containerd only: images can come, pods cannot yet. */
  async boot(): Promise<void> {
    makeCgroup(cgroupOf(this.#options.slot, this.name));
    rmSync(join(this.#folder, 'up'), { force: true });
    const namespaces = [
      'unshare',
      '--mount',
      '--pid',
      '--fork',
      '--kill-child=KILL',
      '--mount-proc',
      '--propagation',
      'private',
      '--',
    ];
    const init = [join(harnessSources, 'node-init.sh'), this.#folder, join(this.#folder, 'pause')];
    const outside = inNetworkOf(this.#options.slot, this.#options.number);
    this.#outer = this.#program('node', [...outside, ...namespaces, ...init]);
    await until(`the start of ${this.name}`, START_MS, () => {
      this.#mustRun('node', this.#outer);
      return existsSync(join(this.#folder, 'up'));
    });
    this.#init = childrenOf(this.#outer.identity.pid)[0] ?? null;
    if (this.#init === null) throw new Error(`${this.name} has no first process:\n${this.#outer.lastWords()}`);
    this.#options.folder.record(`${this.name}-init`, this.#init);
    this.#start('containerd', ['containerd', '-c', join(this.#folder, 'containerd.toml')]);
    await until(`containerd on ${this.name}`, START_MS, async () => {
      this.#mustRun('containerd', this.#parts.get('containerd') ?? null);
      await this.#ctr('version');
      return true;
    });
  }

  /** Under its name and under its name with the digest, as if it had been pulled by either. */
  async importImage({ archive, name, digest }: BuiltImage): Promise<void> {
    if (this.#images.get(name) === digest) return;
    await this.#ctr('images', 'import', archive);
    await this.#ctr('images', 'tag', '--force', name, `${name.slice(0, name.lastIndexOf(':'))}@${digest}`);
    this.#images.set(name, digest);
  }

  startKubelet(): void {
    const { kube, kubeconfig, shape } = this.#options;
    const labels = Object.entries(shape.labels ?? {}).map(([key, value]) => `${key}=${value}`);
    this.#start('kubelet', [
      kube,
      'kubelet',
      `--kubeconfig=${kubeconfig}`,
      `--config=${join(this.#folder, 'kubelet.json')}`,
      `--root-dir=${join(this.#folder, 'kubelet')}`,
      `--cert-dir=${join(this.#folder, 'kubelet', 'pki')}`,
      `--hostname-override=${this.name}`,
      `--node-ip=${this.address}`,
      ...(labels.length > 0 ? [`--node-labels=${labels.join(',')}`] : []),
    ]);
  }

  startProxy(): void {
    this.#start('kube-proxy', [this.#options.kube, 'kube-proxy', `--config=${join(this.#folder, 'proxy.json')}`]);
  }

  /** SIGKILL, as a machine would lose it; its pods go on. */
  async killKubelet(): Promise<void> {
    await this.#kill('kubelet');
  }

  /** The whole node at once, as when its power is cut. */
  async kill(): Promise<void> {
    if (this.#init !== null) await endProcess(this.#init, 0);
    if (this.#outer !== null) await this.#outer.end(0);
    for (const program of this.#parts.values()) await program.end(0);
    this.#parts.clear();
    this.#init = null;
    await removeCgroup(cgroupOf(this.#options.slot, this.name));
  }

  async cutNetwork(part: CutPart): Promise<void> {
    await cutNetwork(this.#options.slot, this.#options.number, { part, env: this.#environment() });
  }

  async healNetwork(): Promise<void> {
    await healNetwork(this.#options.slot, this.#options.number, this.#environment());
  }

  /** SIGKILL to the first process of a container. */
  async killContainer(containerId: string): Promise<void> {
    await this.#ctr('tasks', 'kill', '--signal', 'SIGKILL', containerId);
  }

  #ctr(...args: string[]): Promise<string> {
    return run(['ctr', '-a', socketOf(this.#folder), '-n', 'k8s.io', ...args], { env: this.#environment() });
  }

  #start(name: string, command: readonly string[]): void {
    if (this.#init === null) throw new Error(`${this.name} is not running`);
    const inside = ['nsenter', `--target=${this.#init.pid}`, '--mount', '--pid', '--net', '--', ...command];
    this.#parts.set(name, this.#program(name, inside));
  }

  async #kill(name: string): Promise<void> {
    const program = this.#parts.get(name);
    if (program === undefined) return;
    // nsenter waits for the program, which is its only child.
    for (const child of childrenOf(program.identity.pid)) await endProcess(child, 0);
    await program.end(0);
    this.#parts.delete(name);
  }

  #program(name: string, command: readonly string[]): Program {
    const program = new Program({ command, log: join(this.#folder, `${name}.log`), env: this.#environment(), cwd: this.#folder });
    this.#options.folder.record(`${this.name}-${name}`, program.identity);
    return program;
  }

  #mustRun(name: string, program: Program | null): void {
    if (program?.running !== true) throw new Hopeless(`${name} of ${this.name} ended:\n${program?.lastWords() ?? ''}`);
  }

  #environment(): Record<string, string> {
    return { PATH: this.#options.runtime.path, LD_LIBRARY_PATH: this.#options.runtime.libraries };
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#folder, name), text);
  }
}
