import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, type Client } from 'graphql-ws';
import WebSocket from 'ws';
import type { ClusterPort } from '../../src/deployments/cluster.port.ts';
import type { EventLog } from '../../src/events/event-log.ts';
import type { Role } from '../../src/kernel/principal.ts';
import { ClusterLoops, type OpenCluster } from '../../src/main/cluster-loops.ts';
import { compose } from '../../src/main/compose.ts';
import { readConfig } from '../../src/main/config.ts';
import { systemClock, systemRandom } from '../../src/main/system-clock.ts';
import { openTestDatabase, type TestDatabase } from './database.ts';
import { quietLogger } from './quiet-logger.ts';

/** A GraphQL answer over HTTP. */
export interface Answer<T = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly data: T | null;
  readonly errors?: { message: string; extensions: { code: string; requestId: string; retryAfterMs?: number } }[];
  readonly extensions?: {
    cost: {
      requestedQueryCost: number;
      actualQueryCost: number;
      throttleStatus: { maximumAvailable: number; currentlyAvailable: number; restoreRate: number };
    };
  };
}

export interface Ask {
  /** Left out = the administrator's; null = none. */
  readonly token?: string | null;
  readonly variables?: object;
  readonly accept?: string;
}

/** The API on a test database, with real services, on a free port. */
export interface TestApi {
  readonly url: string;
  readonly dataDir: string;
  readonly db: TestDatabase;
  readonly events: EventLog;
  readonly adminToken: string;
  /** By id: where replicas are asked for their logs. */
  readonly clusters: Map<string, ClusterPort>;
  gql<T = unknown>(query: string, options?: Ask): Promise<Answer<T>>;
  /** Makes the team if it is not there, a service account with that role on it, and gives its token. */
  tokenFor(role: Role, team: string): Promise<{ readonly token: string; readonly id: string }>;
  socket(token: string, options?: { retryAttempts?: number; onClosed?: (code: number) => void }): Client;
  close(options?: { readonly delayMs: number }): Promise<void>;
}

export interface ApiOptions {
  /** With it the loops of registered clusters run, too. */
  readonly openCluster?: OpenCluster;
  /** Closed with the API; left out = one of the project's own server. */
  readonly db?: TestDatabase;
  /** Settings of docs/operations.md. */
  readonly env?: NodeJS.ProcessEnv;
}

export async function startApi({ openCluster, db: given, env = {} }: ApiOptions = {}): Promise<TestApi> {
  const db = given ?? (await openTestDatabase());
  const dataDir = await mkdtemp(join(tmpdir(), 'purser-api-'));
  const parts = compose({
    config: readConfig({ ...env, PURSER_DATA_DIR: dataDir }, dataDir),
    database: db.database,
    secret: 'a secret of these tests',
    clock: systemClock,
    random: systemRandom,
    logger: quietLogger,
  });
  const { api, bootstrap, clusters, events, setReady } = parts;
  const adminToken = await bootstrap.adminToken(null);
  await events.start();
  const loops = openCluster ? new ClusterLoops(parts, { open: openCluster, machineId: null }) : null;
  if (loops) {
    parts.changeWatch.start();
    loops.start();
  }
  const port = await api.listen('127.0.0.1', 0);
  setReady(true);
  const url = `http://127.0.0.1:${port}`;
  const gql = <T = unknown>(query: string, options?: Ask) => post<T>(url, adminToken, query, options);
  return {
    url,
    dataDir,
    db,
    events,
    adminToken,
    clusters,
    gql,
    tokenFor: (role, team) => makeToken(gql, role, team),
    socket: (token, { retryAttempts = 0, onClosed } = {}) =>
      createClient({
        url: `ws://127.0.0.1:${port}/graphql`,
        webSocketImpl: WebSocket,
        connectionParams: { authorization: `Bearer ${token}` },
        retryAttempts,
        on: { closed: (event) => onClosed?.((event as { code: number }).code) },
      }),
    close: async (options) => {
      await api.close(options?.delayMs);
      await loops?.stop();
      if (loops) await parts.changeWatch.stop();
      await events.stop();
      await db.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function post<T>(url: string, adminToken: string, query: string, options: Ask = {}): Promise<Answer<T>> {
  const { token = adminToken, variables, accept = 'application/graphql-response+json' } = options;
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ query, variables }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, ...(JSON.parse(text) as { data: T | null }) };
}

async function makeToken(gql: TestApi['gql'], role: Role, team: string): Promise<{ token: string; id: string }> {
  await gql('mutation ($team: String!) { createTeam(input: { name: $team }) { userErrors { code } } }', { variables: { team } });
  const name = `${role.replace('_', '-')}-${randomInt(1e9)}`;
  const made = await gql<{ createPrincipal: { principal: { id: string } | null } }>(
    `mutation ($team: String!, $name: String!, $role: Role!) {
      createPrincipal(input: { team: { path: $team }, name: $name, grants: [{ role: $role, team: { path: $team } }] }) {
        principal { id } userErrors { code message path } } }`,
    { variables: { team, name, role: role.toUpperCase() } },
  );
  const answer = await gql<{ createToken: { secret: string | null; token: { id: string } | null } }>(
    `mutation ($principal: ID!, $name: String!) { createToken(input: { principal: $principal, name: $name }) { secret token { id } userErrors { code message } } }`,
    { variables: { principal: made.data?.createPrincipal.principal?.id ?? '', name } },
  );
  const { secret, token } = answer.data?.createToken ?? {};
  if (!secret || !token) throw new Error(`no token: ${made.text} ${answer.text}`);
  return { token: secret, id: token.id };
}
