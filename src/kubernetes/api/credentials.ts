import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { RequestOptions } from 'node:https';
import type { KubeConfig, User } from '@kubernetes/client-node';
import { Agent, ProxyAgent, type Dispatcher } from 'undici';
import type { Clock } from '../../kernel/clock.ts';
import type { Instant } from '../../kernel/instant.ts';
import { KubernetesUnreachable } from './errors.ts';

/** How a cluster is reached and signed in to. */
export type ClusterAccess =
  /** The service account of the pod that this process runs in. */
  | { readonly kind: 'in_cluster' }
  /** A kubeconfig of this machine; it may name other files and programs. `context` null = its current one. */
  | { readonly kind: 'kubeconfig_file'; readonly file: string; readonly context: string | null }
  /** A kubeconfig that came from elsewhere: it must carry all that it needs, and may name neither files nor programs. */
  | { readonly kind: 'kubeconfig_text'; readonly text: string; readonly context: string | null };

/** What one request needs beside its path. */
export interface SignIn {
  /** Address of the API server without a slash at the end. */
  readonly server: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
}

/** How long credentials are used before their source is asked again. Higher: a rotated token costs a 401 first; lower: files are read for nothing. */
const REUSE_MS = 10_000;
/** A credential program may take this long. Higher: a stuck one holds calls; lower: cloud sign-ins fail. */
const SIGN_IN_TIMEOUT_MS = 30_000;
/** An idle connection is kept this long: shorter than API servers and load balancers do, so that it does not end under a request. */
const IDLE_MS = 20_000;
/** A connection must be made by then. Higher: an unroutable server holds calls; lower: a far one cannot be reached. */
const CONNECT_TIMEOUT_MS = 10_000;

/** The credentials of one cluster, read again before they are old and whenever the server refuses them. */
export class Credentials {
  readonly #access: ClusterAccess;
  readonly #clock: Clock;
  #config: KubeConfig | null = null;
  #signIn: { readonly at: Instant; readonly value: SignIn } | null = null;
  #pending: Promise<SignIn> | null = null;
  #transport: { readonly key: string; readonly dispatcher: Dispatcher } | null = null;

  constructor(access: ClusterAccess, clock: Clock) {
    this.#access = access;
    this.#clock = clock;
  }

  /** Throws `KubernetesUnreachable` when there is nothing to sign in with. */
  current(): Promise<SignIn> {
    const held = this.#signIn;
    if (held && this.#clock.now() - held.at < REUSE_MS) return Promise.resolve(held.value);
    this.#pending ??= this.#obtain().finally(() => (this.#pending = null));
    return this.#pending;
  }

  /** Forgets credentials that the server refused, so that the next `current` reads the source anew; others stay. */
  refused(signIn: SignIn): void {
    if (this.#signIn && this.#signIn.value !== signIn) return;
    this.#signIn = null;
    this.#config = null;
  }

  /** The server cannot be reached as it is written down: its address or authority may have changed there. Read again when the time comes. */
  doubted(): void {
    this.#config = null;
  }

  /** Ends every connection, those in use too. */
  async close(): Promise<void> {
    await this.#transport?.dispatcher.destroy();
  }

  async #obtain(): Promise<SignIn> {
    try {
      const value = await inTime(this.#read(), SIGN_IN_TIMEOUT_MS);
      this.#signIn = { at: this.#clock.now(), value };
      return value;
    } catch (error) {
      this.#config = null;
      throw new KubernetesUnreachable('credentials', `no credentials: ${(error as Error).message}`, error);
    }
  }

  async #read(): Promise<SignIn> {
    const config = (this.#config ??= await loadConfig(this.#access));
    const cluster = config.getCurrentCluster();
    if (!cluster || !config.getCurrentUser()) throw new Error('the kubeconfig names no cluster and user for its context');
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    const headers = { ...(options.headers as Record<string, string> | undefined) };
    for (const [name, value] of Object.entries(headers)) headers[name] = value.trim();
    if (options.auth) headers['Authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    return { server: cluster.server, headers, dispatcher: this.#dispatcher(cluster.server, cluster.proxyUrl ?? null, options) };
  }

  /** The same connections as long as the certificates stay the same. */
  #dispatcher(
    server: string,
    proxy: string | null,
    { ca, cert, key, rejectUnauthorized, servername }: RequestOptions,
  ): Dispatcher {
    const tls = { ca, cert, key, servername, ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }) };
    const digest = createHash('sha256')
      .update(JSON.stringify([server, proxy, tls]))
      .digest('hex');
    if (this.#transport?.key === digest) return this.#transport.dispatcher;
    // What is under way on the old connections may end in peace.
    void this.#transport?.dispatcher.close().catch(() => undefined);
    // One connection per stream (HTTP/1.1): a stuck one then holds up nobody else.
    const shared = { allowH2: false, keepAliveTimeout: IDLE_MS, keepAliveMaxTimeout: IDLE_MS, headersTimeout: 0, bodyTimeout: 0 };
    const connect = { ...definedOnly(tls), timeout: CONNECT_TIMEOUT_MS, keepAlive: true, keepAliveInitialDelay: 15_000 };
    const dispatcher =
      proxy === null ? new Agent({ ...shared, connect }) : new ProxyAgent({ ...shared, uri: proxy, requestTls: connect });
    this.#transport = { key: digest, dispatcher };
    return dispatcher;
  }
}

async function loadConfig(access: ClusterAccess): Promise<KubeConfig> {
  // Loaded when the first cluster needs it: half a hundred MiB that an installation without Kubernetes does not pay.
  const client = await import('@kubernetes/client-node');
  const config = new client.KubeConfig();
  if (access.kind === 'in_cluster') {
    config.loadFromCluster();
    return config;
  }
  const text = access.kind === 'kubeconfig_file' ? await readFile(access.file, 'utf8') : access.text;
  if (access.kind === 'kubeconfig_text') refuseForeignReach(client.loadYaml(text));
  config.loadFromString(text);
  if (access.context !== null) config.setCurrentContext(access.context);
  if (access.kind === 'kubeconfig_file') {
    const folder = dirname(resolve(access.file));
    config.makePathsAbsolute(folder);
    config.users = config.users.map((user) => withTokenFile(user, client.loadYaml(text), folder));
  }
  return config;
}

/** The client library reads a token once, and not by the name that kubeconfigs give it (`tokenFile`): it is a file that is read again. */
function withTokenFile(user: User, config: unknown, folder: string): User {
  const users = (config as { users?: { name?: string; user?: { tokenFile?: string } | null }[] }).users ?? [];
  const tokenFile = users.find(({ name }) => name === user.name)?.user?.tokenFile;
  if (tokenFile === undefined || user.authProvider) return user;
  const { token: _token, ...rest } = user;
  return { ...rest, authProvider: { name: 'tokenFile', config: { tokenFile: resolve(folder, tokenFile) } } };
}

const CLUSTER_FIELDS = ['server', 'certificate-authority-data', 'insecure-skip-tls-verify', 'tls-server-name', 'proxy-url'];
const USER_FIELDS = ['token', 'client-certificate-data', 'client-key-data', 'username', 'password', 'as'];

/** A kubeconfig from elsewhere must not make this machine run programs or give away its files: only fields that do neither are taken. */
function refuseForeignReach(config: unknown): void {
  const { clusters = [], users = [] } = (config ?? {}) as { clusters?: { cluster?: object }[]; users?: { user?: object }[] };
  const foreign = [
    ...clusters.flatMap(({ cluster }) => Object.keys(cluster ?? {}).filter((field) => !CLUSTER_FIELDS.includes(field))),
    ...users.flatMap(({ user }) => Object.keys(user ?? {}).filter((field) => !USER_FIELDS.includes(field))),
  ];
  if (foreign.length > 0)
    throw new Error(`a kubeconfig given as text may not contain ${foreign.join(', ')}; give tokens and certificates as data`);
}

function definedOnly<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Partial<T>;
}

function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`nothing within ${timeoutMs} ms`));
    }, timeoutMs);
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
    });
  });
}
