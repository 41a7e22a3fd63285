// What a test may ask of any cluster that it has a kubeconfig of: requests, kubectl, users with given rights, the audit log.
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ApiClient, isStatus } from './api.ts';
import { withToken } from './kubeconfig.ts';
import { run } from './machine.ts';
import { kubeProgram } from './programs.ts';

export interface PolicyRule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
}

export interface UserOptions {
  /** Also the name of the service account, its roles and bindings. */
  readonly name: string;
  /** Where the service account lives, and where `rules` hold. */
  readonly namespace?: string;
  /** Rights in that namespace. */
  readonly rules?: readonly PolicyRule[];
  /** Rights everywhere. */
  readonly clusterRules?: readonly PolicyRule[];
  /** The API server grants at least 600 seconds. */
  readonly tokenSeconds?: number;
}

export interface AuditEvent {
  readonly at: number;
  readonly user: string;
  readonly verb: string;
  readonly apiGroup: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly url: string;
  readonly code: number;
  readonly userAgent: string;
}

export class ClusterAccess {
  readonly kubeconfig: string;
  readonly api: ApiClient;

  protected constructor(kubeconfig: string, api: ApiClient) {
    this.kubeconfig = kubeconfig;
    this.api = api;
  }

  static async open(kubeconfig: string): Promise<ClusterAccess> {
    return new ClusterAccess(kubeconfig, await ApiClient.of(kubeconfig));
  }

  async kubectl(...args: string[]): Promise<string> {
    return this.kubectlWith('', ...args);
  }

  /** With text for `-f -`. */
  async kubectlWith(input: string, ...args: string[]): Promise<string> {
    return run([await kubeProgram(), 'kubectl', `--kubeconfig=${this.kubeconfig}`, ...args], { input });
  }

  /** Creates the namespace unless it is there. */
  async namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
    await createIfAbsent(this.api, '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
    return name;
  }

  /** Without waiting until its objects are gone. */
  async deleteNamespace(name: string): Promise<void> {
    await this.api.delete(`/api/v1/namespaces/${name}`).catch((error: unknown) => {
      if (!isStatus(error, 404)) throw error;
    });
  }

  /** A service account with these rights and no others; gives the path of its kubeconfig. */
  async user(options: UserOptions): Promise<string> {
    const { name, namespace = 'default', rules, clusterRules, tokenSeconds = 3_600 } = options;
    await createIfAbsent(this.api, `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } });
    if (rules !== undefined) await this.#grant('Role', { name, namespace, rules });
    if (clusterRules !== undefined) await this.#grant('ClusterRole', { name, namespace, rules: clusterRules });
    const { status } = await this.api.create<{ status: { token: string } }>(
      `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: tokenSeconds } },
    );
    const path = join(mkdtempSync(join(tmpdir(), 'purser-user-')), 'kubeconfig');
    writeFileSync(path, withToken(this.kubeconfig, status.token), { mode: 0o600 });
    return path;
  }

  /** What was asked of the API server; empty where its log cannot be read. The programs of the cluster itself are left out. */
  auditLog(since = 0): AuditEvent[] {
    const path = join(dirname(this.kubeconfig), 'audit.log');
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
    // A watch is told twice: when it begins and when it ends.
    const events = new Map(lines.map((line) => JSON.parse(line) as RawEvent).map((raw) => [raw.auditID, raw] as const));
    return [...events.values()].map(auditEvent).filter((event) => event.at >= since);
  }

  async #grant(
    kind: 'Role' | 'ClusterRole',
    to: { name: string; namespace: string; rules: readonly PolicyRule[] },
  ): Promise<void> {
    const base = '/apis/rbac.authorization.k8s.io/v1';
    const scope = kind === 'Role' ? `${base}/namespaces/${to.namespace}/roles` : `${base}/clusterroles`;
    const [metadata, force] = [{ name: to.name }, '?fieldManager=purser-test&force=true'];
    const apiVersion = 'rbac.authorization.k8s.io/v1';
    const rules = to.rules.map((rule) => ({ apiGroups: [''], ...rule }));
    await this.api.patch(`${scope}/${to.name}${force}`, { apiVersion, kind, metadata, rules }, 'apply');
    const subjects = [{ kind: 'ServiceAccount', name: to.name, namespace: to.namespace }];
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind, name: to.name };
    const binding = { apiVersion, kind: `${kind}Binding`, metadata, subjects, roleRef };
    const bindings = scope.replace(/roles$/, 'rolebindings');
    await this.api.patch(`${bindings}/${to.name}${force}`, binding, 'apply');
  }
}

interface RawEvent {
  readonly auditID: string;
  readonly requestReceivedTimestamp: string;
  readonly user: { readonly username: string };
  readonly verb: string;
  readonly requestURI: string;
  readonly userAgent?: string;
  readonly responseStatus?: { readonly code: number };
  readonly objectRef?: Partial<Record<keyof typeof NO_OBJECT, string>>;
}

const NO_OBJECT = { apiGroup: '', resource: '', subresource: '', namespace: '', name: '' };

function auditEvent(raw: RawEvent): AuditEvent {
  const { apiGroup, resource, subresource, namespace, name } = { ...NO_OBJECT, ...raw.objectRef };
  return {
    at: Date.parse(raw.requestReceivedTimestamp),
    user: raw.user.username,
    verb: raw.verb,
    ...{ apiGroup, resource, subresource, namespace, name },
    url: raw.requestURI,
    code: raw.responseStatus?.code ?? 0,
    userAgent: raw.userAgent ?? '',
  };
}

async function createIfAbsent(api: ApiClient, path: string, body: object): Promise<void> {
  await api.create(path, body).catch((error: unknown) => {
    if (!isStatus(error, 409)) throw error;
  });
}
