import { createClient, type Client } from 'graphql-ws';
import WebSocket from 'ws';
import { makeApiMetrics } from '../../src/api/api.metrics.ts';
import { EventResolver } from '../../src/api/event.resolver.ts';
import { StoredEventSubjects } from '../../src/api/event-subjects.ts';
import { NodeResolver } from '../../src/api/node.resolver.ts';
import { makeSchema } from '../../src/api/schema.ts';
import { ApiServer } from '../../src/api/server.ts';
import { EventLog } from '../../src/events/event-log.ts';
import { AuthenticationService } from '../../src/identity/authentication.service.ts';
import { BootstrapService } from '../../src/identity/bootstrap.service.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { identityNodes, IdentityResolver, TeamResolver } from '../../src/identity/identity.resolver.ts';
import { IdentityService } from '../../src/identity/identity.service.ts';
import type { Role } from '../../src/kernel/principal.ts';
import { systemClock, systemRandom } from '../../src/main/system-clock.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import { openTestDatabase, type TestDatabase } from './database.ts';
import { quietLogger } from './quiet-logger.ts';

/** A GraphQL answer over HTTP. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly data: any;
  readonly errors?: { message: string; extensions: { code: string; requestId: string; retryAfterMs?: number } }[];
  readonly extensions?: { cost: { requestedQueryCost: number; actualQueryCost: number; throttleStatus: { maximumAvailable: number; currentlyAvailable: number; restoreRate: number } } };
}

/** The API on a test database, with real services, on a free port. */
export interface TestApi {
  readonly url: string;
  readonly db: TestDatabase;
  readonly events: EventLog;
  readonly adminToken: string;
  gql(query: string, options?: { token?: string | null; variables?: object; accept?: string }): Promise<Answer>;
  /** Makes the team if it is not there, a service account with that role on it, and gives its token. */
  tokenFor(role: Role, team: string): Promise<{ readonly token: string; readonly id: string }>;
  socket(token: string, options?: { retryAttempts?: number; onClosed?: (code: number) => void }): Client;
  close(): Promise<void>;
}

export async function startApi(): Promise<TestApi> {
  const db = await openTestDatabase();
  const { database } = db;
  const deps = { database, clock: systemClock, random: systemRandom, logger: quietLogger };
  const store = new IdentityRepository();
  const adminToken = await new BootstrapService({ ...deps, store }).adminToken(null);
  const identity = new IdentityService({ ...deps, store, commands: new Commands(deps) });
  const log = new EventLog(deps);
  await log.start();
  const events = new EventResolver(log, new StoredEventSubjects());
  const instances = new Map<unknown, object>([
    [IdentityResolver, new IdentityResolver(identity)],
    [TeamResolver, new TeamResolver(identity)],
    [EventResolver, events],
    [NodeResolver, new NodeResolver(identityNodes(identity))],
  ]);
  const server = new ApiServer({
    ...deps,
    schema: makeSchema({ get: (resolver) => instances.get(resolver)! }),
    authentication: new AuthenticationService({ ...deps, store, oidc: null }),
    events,
    artifacts: null,
    dashboardDir: '/nonexistent',
    metrics: makeApiMetrics(makeMetricRegistry()),
    isReady: () => true,
  });
  const port = await server.listen('127.0.0.1', 0);
  const url = `http://127.0.0.1:${port}`;
  const gql: TestApi['gql'] = (query, options) => post(url, adminToken, query, options);
  return {
    url,
    db,
    events: log,
    adminToken,
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
    close: async () => {
      await server.close();
      await log.stop();
      await db.close();
    },
  };
}

async function post(url: string, adminToken: string, query: string, options: Parameters<TestApi['gql']>[1] = {}): Promise<Answer> {
  const { token = adminToken, variables, accept = 'application/graphql-response+json' } = options;
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ query, variables }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, ...(JSON.parse(text) as { data: unknown }) };
}

async function makeToken(gql: TestApi['gql'], role: Role, team: string): Promise<{ token: string; id: string }> {
  await gql('mutation ($team: String!) { createTeam(input: { name: $team }) { userErrors { code } } }', { variables: { team } });
  const name = `${role.replace('_', '-')}-${Math.floor(Math.random() * 1e9)}`;
  const made = await gql(
    `mutation ($team: String!, $name: String!, $role: Role!) {
      createPrincipal(input: { team: { path: $team }, name: $name, grants: [{ role: $role, team: { path: $team } }] }) {
        principal { id } userErrors { code message path } } }`,
    { variables: { team, name, role: role.toUpperCase() } },
  );
  const token = await gql(
    `mutation ($principal: ID!, $name: String!) { createToken(input: { principal: $principal, name: $name }) { secret token { id } userErrors { code message } } }`,
    { variables: { principal: made.data?.createPrincipal.principal?.id ?? made.text, name } },
  );
  return { token: token.data?.createToken.secret ?? token.text, id: token.data?.createToken.token?.id };
}
