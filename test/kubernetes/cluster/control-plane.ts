// etcd and the API server, and for a full cluster the controller manager and the scheduler, as processes of this machine.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from './api.ts';
import { harnessSources } from './cache.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { freePorts, Hopeless, run, until } from './machine.ts';
import { Program } from './processes.ts';
import type { RunFolder } from './run-folder.ts';

export interface ControlPlaneOptions {
  readonly kube: string;
  readonly folder: RunFolder;
  /** Where the API server listens, and what clients call it by. */
  readonly address: string;
  readonly serviceRange: string;
  readonly apiServiceAddress: string;
  /** With controller manager and scheduler. */
  readonly full: boolean;
  /** The names of all nodes that may ever join. */
  readonly nodes: readonly string[];
}

/** An API server is ready after about three seconds on an idle machine. */
const START_MS = 90_000;
const ATTEMPTS = 3;

/** Users of the cluster's own parts; the groups are those that Kubernetes binds its own roles to. */
const USERS = {
  admin: { user: 'admin', group: 'system:masters' },
  'controller-manager': { user: 'system:kube-controller-manager', group: '' },
  scheduler: { user: 'system:kube-scheduler', group: '' },
  proxy: { user: 'system:kube-proxy', group: '' },
  // It only reads services and their endpoints, as kube-proxy does.
  dns: { user: 'system:kube-proxy', group: '' },
};

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #tokens = new Map<string, { token: string; user: string; group: string }>();
  #programs: { name: string; program: Program }[] = [];
  #ports = { etcd: 0, peer: 0, api: 0, manager: 0, scheduler: 0 };
  server = '';

  private constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const nodes = options.nodes.map((name) => [name, { user: `system:node:${name}`, group: 'system:nodes' }] as const);
    for (const [name, who] of [...Object.entries(USERS), ...nodes]) {
      this.#tokens.set(name, { ...who, token: randomBytes(16).toString('hex') });
    }
  }

  static async start(options: ControlPlaneOptions): Promise<ControlPlane> {
    const plane = new ControlPlane(options);
    await plane.#writeSecrets();
    for (let attempt = 1; ; attempt++) {
      try {
        await plane.#startAll();
        return plane;
      } catch (error) {
        await plane.stop();
        // Somebody may have taken a port between the look and the use.
        if (attempt === ATTEMPTS || !String(error).includes('address already in use')) throw error;
      }
    }
  }

  /** Kubeconfig of the administrator, the parts of the control plane, or a node. */
  kubeconfig(name: string): string {
    return this.path(`${name}.kubeconfig`);
  }

  path(name: string): string {
    return join(this.#options.folder.path, name);
  }

  /** The API server before etcd, whose answers it waits for when it takes leave. */
  async stop(graceMs?: number): Promise<void> {
    for (const { program } of this.#programs.toReversed()) await program.end(graceMs);
    this.#programs = [];
  }

  async #writeSecrets(): Promise<void> {
    const { kube, address, folder, apiServiceAddress } = this.#options;
    const names = [
      'localhost',
      'kubernetes',
      'kubernetes.default',
      'kubernetes.default.svc',
      '127.0.0.1',
      address,
      apiServiceAddress,
    ];
    await run([kube, 'certificates', folder.path, ...names]);
    const lines = [...this.#tokens].map(([name, { token, user, group }]) => `${token},${user},${name},"${group}"`);
    writeFileSync(this.path('tokens.csv'), `${lines.join('\n')}\n`, { mode: 0o600 });
  }

  async #startAll(): Promise<void> {
    const [etcd = 0, peer = 0, api = 0, manager = 0, scheduler = 0] = await freePorts(5);
    this.#ports = { etcd, peer, api, manager, scheduler };
    this.server = `https://${this.#options.address}:${api}`;
    const authority = readFileSync(this.path('ca.crt'), 'utf8');
    for (const [name, { token }] of this.#tokens)
      writeKubeconfig(this.kubeconfig(name), { server: this.server, authority, token });
    this.#start('etcd', this.#etcd(etcd, peer));
    await this.startServing();
    if (!this.#options.full) return;
    this.#start('kube-controller-manager', this.#controllerManager(manager));
    this.#start('kube-scheduler', this.#scheduler(scheduler));
    // The first thing that tells that the controllers work.
    await this.#answers('/api/v1/namespaces/default/serviceaccounts/default');
  }

  /** The API server alone; what it keeps is in etcd. */
  async startServing(): Promise<void> {
    this.#start('kube-apiserver', this.#apiServer(this.#ports.api, this.#ports.etcd));
    await this.#answers('/readyz');
    await this.#answers('/api/v1/namespaces/default');
  }

  async stopServing(): Promise<void> {
    const stopped = this.#programs.filter(({ name }) => name === 'kube-apiserver');
    this.#programs = this.#programs.filter((entry) => !stopped.includes(entry));
    for (const { program } of stopped) await program.end(0);
  }

  /** A program that is no part of the control plane and ends with it. */
  startBeside(name: string, flags: readonly string[]): void {
    this.#start(name, flags);
  }

  /** To the API server. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    for (const { program } of this.#programs.filter((entry) => entry.name === 'kube-apiserver')) {
      process.kill(program.identity.pid, name);
    }
  }

  #start(name: string, flags: readonly string[]): void {
    const { kube, folder } = this.#options;
    const program = new Program({ command: [kube, name, ...flags], log: this.path(`${name}.log`), cwd: folder.path });
    folder.record(name, program.identity);
    this.#programs.push({ name, program });
  }

  async #answers(path: string): Promise<void> {
    const client = await ApiClient.of(this.kubeconfig('admin'));
    await until(`an answer of ${path}`, START_MS, async () => {
      const ended = this.#programs.find(({ program }) => !program.running);
      if (ended !== undefined) throw new Hopeless(`${ended.name} ended:\n${ended.program.lastWords()}`);
      await client.get(path);
      return true;
    });
    await client.close();
  }

  #etcd(port: number, peer: number): string[] {
    const [client, peers] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peer}`];
    return [
      `--data-dir=${this.path('etcd')}`,
      // A test cluster need not survive a power cut.
      '--unsafe-no-fsync',
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=default=${peers}`,
      '--log-level=warn',
    ];
  }

  #apiServer(port: number, etcd: number): string[] {
    const { address, serviceRange, full } = this.#options;
    return [
      `--etcd-servers=http://127.0.0.1:${etcd}`,
      `--bind-address=${address}`,
      `--secure-port=${port}`,
      `--advertise-address=${address}`,
      `--endpoint-reconciler-type=${full ? 'lease' : 'none'}`,
      `--tls-cert-file=${this.path('apiserver.crt')}`,
      `--tls-private-key-file=${this.path('apiserver.key')}`,
      `--client-ca-file=${this.path('ca.crt')}`,
      `--token-auth-file=${this.path('tokens.csv')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${this.path('service-account.pub')}`,
      `--service-account-signing-key-file=${this.path('service-account.key')}`,
      `--service-cluster-ip-range=${serviceRange}`,
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      '--allow-privileged=true',
      `--kubelet-client-certificate=${this.path('kubelet-client.crt')}`,
      `--kubelet-client-key=${this.path('kubelet-client.key')}`,
      '--kubelet-preferred-address-types=InternalIP',
      `--requestheader-client-ca-file=${this.path('front-proxy-ca.crt')}`,
      `--proxy-client-cert-file=${this.path('front-proxy-client.crt')}`,
      `--proxy-client-key-file=${this.path('front-proxy-client.key')}`,
      '--requestheader-allowed-names=front-proxy-client',
      '--requestheader-username-headers=X-Remote-User',
      '--requestheader-group-headers=X-Remote-Group',
      '--requestheader-extra-headers-prefix=X-Remote-Extra-',
      '--enable-aggregator-routing=true',
      // Pods leave a lost node at once, so that tests need not wait five minutes.
      '--default-not-ready-toleration-seconds=2',
      '--default-unreachable-toleration-seconds=2',
      `--audit-policy-file=${join(harnessSources, 'audit-policy.json')}`,
      `--audit-log-path=${this.path('audit.log')}`,
      '--audit-log-mode=blocking',
    ];
  }

  #controllerManager(port: number): string[] {
    mkdirSync(this.path('volume-plugins'), { recursive: true });
    return [
      ...this.#asItself('controller-manager', port),
      '--use-service-account-credentials=true',
      `--service-account-private-key-file=${this.path('service-account.key')}`,
      `--root-ca-file=${this.path('ca.crt')}`,
      `--cluster-signing-cert-file=${this.path('ca.crt')}`,
      `--cluster-signing-key-file=${this.path('ca.key')}`,
      // The defaults would make a start five seconds slower.
      '--kube-api-qps=500',
      '--kube-api-burst=1000',
      `--flex-volume-plugin-dir=${this.path('volume-plugins')}`,
      // A lost node is known after eight seconds instead of forty.
      '--node-monitor-period=1s',
      '--node-monitor-grace-period=8s',
    ];
  }

  #scheduler(port: number): string[] {
    return [...this.#asItself('scheduler', port), '--kube-api-qps=500', '--kube-api-burst=1000'];
  }

  #asItself(name: string, port: number): string[] {
    const kubeconfig = this.kubeconfig(name);
    return [
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      '--leader-elect=false',
    ];
  }
}
