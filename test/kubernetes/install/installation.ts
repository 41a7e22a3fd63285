// Purser as somebody installs it: PostgreSQL and S3 outside the cluster, secrets made by hand, then the chart.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { PurserClient } from '../../../clients/typescript/purser-client.ts';
import { newToken } from '../../../src/kernel/token.ts';
import { systemRandom } from '../../../src/main/system-clock.ts';
import { makeClient } from '../../../src/persistence/connection.ts';
import { APP_ROLE, OWNER_ROLE } from '../../../src/persistence/roles.ts';
import { eventually } from '../../support/eventually.ts';
import { startS3Server } from '../../support/s3-server.ts';
import { startTestServer, type TestServer } from '../../support/test-server.ts';
import type { ApiObject } from '../cluster/api.ts';
import type { TestCluster } from '../cluster/testing.ts';
import { CHART, helm, setting, type Values } from './helm.ts';

/** Pods start, migrate and become ready on a busy machine. */
export const SOON_MS = 120_000;
const PASSWORD = randomBytes(12).toString('hex');

/** As cert-manager would write it, for the name by which pods of its namespace find the Service. */
export const LINK = {
  'tls.crt': certificate('service.pem'),
  'tls.key': certificate('service-key.pem'),
  'ca.crt': certificate('service.pem'),
};

function certificate(name: string): string {
  return readFileSync(join(import.meta.dirname, '..', '..', 'support', 'certificate', name), 'utf8');
}

/** What an installation leans on, at an address that pods reach. */
export class Surroundings {
  readonly #database: TestServer;
  readonly #s3: Awaited<ReturnType<typeof startS3Server>>;
  readonly #address: string;

  private constructor(parts: { database: TestServer; s3: Awaited<ReturnType<typeof startS3Server>>; address: string }) {
    this.#database = parts.database;
    this.#s3 = parts.s3;
    this.#address = parts.address;
  }

  static async start(cluster: TestCluster): Promise<Surroundings> {
    // Where the nodes of a cluster that this machine runs find this machine.
    const { server } = JSON.parse(
      await cluster.kubectl('config', 'view', '--minify', '-o', 'jsonpath={.clusters[0].cluster}'),
    ) as {
      server: string;
    };
    const address = new URL(server).hostname;
    const database = await startTestServer(undefined, address);
    try {
      return new Surroundings({ database, s3: await startS3Server(address), address });
    } catch (error) {
      await database.stop();
      throw error;
    }
  }

  /** A database with the two roles that docs/operations.md asks for. */
  async makeDatabase(name: string): Promise<{ readonly app: string; readonly owner: string }> {
    await this.sql('postgres', async (client) => {
      for (const role of [APP_ROLE, OWNER_ROLE]) await client.query(`alter role ${role} password '${PASSWORD}'`);
      await client.query(`create database ${name} owner ${OWNER_ROLE}`);
    });
    const url = (role: string) => `postgresql://${role}:${PASSWORD}@${this.#address}:5432/${name}`;
    return { app: url(APP_ROLE), owner: url(OWNER_ROLE) };
  }

  /** As superuser, past every wall. */
  async sql<T>(database: string, body: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = makeClient(this.#database.url('postgres', database), 'purser test');
    await client.connect();
    return body(client).finally(() => client.end());
  }

  get s3() {
    return this.#s3.options;
  }

  async stop(): Promise<void> {
    this.#s3.stop();
    await this.#database.stop();
  }
}

export interface InstallationParts {
  readonly cluster: TestCluster;
  readonly surroundings: Surroundings;
  readonly namespace: string;
}

export interface Pod {
  readonly name: string;
  readonly address: string;
  readonly image: string;
  readonly ready: boolean;
  readonly restarts: number;
}

interface PodFields {
  readonly spec: { readonly containers: readonly { readonly image: string }[] };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly restartCount: number }[];
  };
}

/** One release in one namespace, with a database of its own. */
export class Installation {
  readonly namespace: string;
  readonly adminToken = newToken('admin', systemRandom);
  readonly routerToken = newToken('router', systemRandom);
  readonly #parts: InstallationParts;

  constructor(parts: InstallationParts) {
    this.namespace = parts.namespace;
    this.#parts = parts;
  }

  get databaseName(): string {
    return this.namespace.replaceAll('-', '_');
  }

  /** The namespace, which takes nothing but restricted pods, and the secrets that the chart wants. */
  async prepare(): Promise<void> {
    const { cluster, surroundings, namespace } = this.#parts;
    await cluster.namespace(namespace, { 'pod-security.kubernetes.io/enforce': 'restricted' });
    const { app, owner } = await surroundings.makeDatabase(this.databaseName);
    const { accessKey = '', secretKey = '' } = surroundings.s3;
    await this.#secret('purser-database', { url: app, 'owner-url': owner });
    await this.#secret('purser-tokens', { 'admin-token': this.adminToken, 'router-token': this.routerToken });
    await this.#secret('purser-operator', { token: this.adminToken });
    await this.#secret('purser-link', LINK);
    await this.#secret('purser-s3', { 'access-key': accessKey, 'secret-key': secretKey });
  }

  /** Values that every installation of the tests has. */
  get values(): Values {
    const { endpoint = '', bucket, region } = this.#parts.surroundings.s3;
    return {
      'image.repository': 'purser.test/purser',
      'database.existingSecret': 'purser-database',
      'tokens.existingSecret': 'purser-tokens',
      's3.existingSecret': 'purser-s3',
      'operator.existingSecret': 'purser-operator',
      's3.endpoint': endpoint,
      's3.bucket': bucket,
      's3.region': region,
      // Of the two cores of a test machine.
      'controlPlane.resources.requests.cpu': '20m',
      'router.resources.requests.cpu': '20m',
    };
  }

  /** Installs or upgrades and returns at once. */
  async apply(values: Values): Promise<void> {
    const target = ['purser', CHART, '--namespace', this.namespace, '--skip-crds'];
    const args = ['upgrade', '--install', ...target, ...setting({ ...this.values, ...values })];
    await helm(args, { kubeconfig: this.#parts.cluster.kubeconfig });
  }

  /** Waits until everything is as the chart says, and nothing of before is left. */
  async settled(): Promise<void> {
    for (const name of ['purser', 'purser-router'])
      await this.#kubectl('rollout', 'status', `deployment/${name}`, `--timeout=${SOON_MS / 1000}s`);
  }

  async pods(component: 'control-plane' | 'router'): Promise<Pod[]> {
    const path = `/api/v1/namespaces/${this.namespace}/pods?labelSelector=app.kubernetes.io/component=${component}`;
    const found = await this.#parts.cluster.api.list(path);
    return found.filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(podOf);
  }

  /** Pods that have been told to end and have not. */
  async leaving(): Promise<number> {
    const path = `/api/v1/namespaces/${this.namespace}/pods?labelSelector=app.kubernetes.io/name=purser`;
    return (await this.#parts.cluster.api.list(path)).filter(({ metadata }) => metadata.deletionTimestamp !== undefined).length;
  }

  /** Asks the release's database as superuser. */
  query<R extends pg.QueryResultRow>(text: string): Promise<pg.QueryResult<R>> {
    return this.#parts.surroundings.sql(this.databaseName, (client) => client.query<R>(text));
  }

  async deletePod(name: string): Promise<void> {
    await this.#kubectl('delete', 'pod', name, '--wait=true');
  }

  /** Where this machine reaches a Service of the release. */
  async serviceUrl(name: string, port: number): Promise<string> {
    const { spec } = await this.#parts.cluster.api.get(`/api/v1/namespaces/${this.namespace}/services/${name}`);
    return `http://${String(spec?.['clusterIP'])}:${port}`;
  }

  async client(url?: string): Promise<PurserClient> {
    return new PurserClient({ url: url ?? (await this.serviceUrl('purser', 4000)), token: this.adminToken });
  }

  /** Who leads which loop now. */
  async leaders(): Promise<ReadonlyMap<string, string>> {
    const { rows } = await this.query<{ name: string; holder: string }>(
      `select name, holder from lease where expires_at > (extract(epoch from clock_timestamp()) * 1000)::bigint`,
    );
    return new Map(rows.map(({ name, holder }) => [name, holder]));
  }

  /** Takes the release away and the namespace with all that is in it. */
  async remove(): Promise<void> {
    const { cluster, namespace } = this.#parts;
    await helm(['uninstall', 'purser', '--namespace', namespace, '--ignore-not-found'], { kubeconfig: cluster.kubeconfig });
    await cluster.deleteNamespace(namespace);
  }

  async #secret(name: string, data: Readonly<Record<string, string>>): Promise<void> {
    const body = { metadata: { name }, stringData: data };
    await eventually(() => this.#parts.cluster.api.create(`/api/v1/namespaces/${this.namespace}/secrets`, body));
  }

  #kubectl(...args: string[]): Promise<string> {
    return this.#parts.cluster.kubectl('--namespace', this.namespace, ...args);
  }
}

function podOf(object: ApiObject): Pod {
  const { metadata, spec, status } = object as ApiObject & PodFields;
  return {
    name: metadata.name,
    address: status.podIP ?? '',
    image: spec.containers[0]?.image ?? '',
    ready: (status.conditions ?? []).some((one) => one.type === 'Ready' && one.status === 'True'),
    restarts: status.containerStatuses?.[0]?.restartCount ?? 0,
  };
}
