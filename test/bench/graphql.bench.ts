// Measures the CPU of one nested list (50 deployments → revision → model version → model → 3 versions) over HTTP against a stock Apollo server with hand-written
// resolvers and loaders on the same rows. The client runs in the same process, so its own cost, measured against a server that
// sends the same bytes, is taken off both.
import 'reflect-metadata';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import DataLoader from 'dataloader';
import pg from 'pg';
import { compose } from '../../src/main/compose.ts';
import { readConfig } from '../../src/main/config.ts';
import { systemClock, systemRandom } from '../../src/main/system-clock.ts';
import type { Database } from '../../src/persistence/database.ts';
import { openDatabase } from '../../src/persistence/open-database.ts';
import { DEPLOYMENTS, makeNestedDeployments, NESTED_QUERY, VERSIONS } from '../support/nested-deployments.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import type { BenchRow } from './bench-row.ts';

/** Rounds of each kind, interleaved; the median counts. */
const ROUNDS = 7;
const REQUESTS = 60;
/** Points are counted per token: enough tokens that none runs dry. */
const TOKENS = 24;

interface Target {
  readonly url: string;
  readonly tokens: readonly string[];
}

/** CPU per request, ours and stock, and their ratio. */
export async function run(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'purser-bench-'));
  await chmod(folder, 0o755);
  const opened = await openDatabase({ dataDir: join(folder, 'data'), systemFolder: join(folder, 'system') });
  const deps = { database: opened.database, secret: 'bench', clock: systemClock, random: systemRandom, logger: quietLogger };
  const plane = compose({ ...deps, config: readConfig({ PURSER_DATA_DIR: folder }, folder) });
  const admin = await plane.bootstrap.adminToken(null);
  const url = `http://127.0.0.1:${await plane.api.listen('127.0.0.1', 0)}/graphql`;
  const ours: Target = { url, tokens: await seed(opened.database, url, admin) };
  const stock = await startStock(opened.url);
  const plain = await startPlain(await (await ask(ours, 0)).text());
  try {
    return await compare(ours, { url: stock.url, tokens: [''] }, { url: plain.url, tokens: [''] });
  } finally {
    await Promise.all([plane.api.close(), stock.close(), plain.close()]);
    await opened.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function compare(ours: Target, stock: Target, plain: Target): Promise<BenchRow[]> {
  const figures = { ours: [] as number[], stock: [] as number[], plain: [] as number[] };
  for (const target of [ours, stock, plain]) await cpuPerRequest(target);
  for (let round = 0; round < ROUNDS; round += 1) {
    figures.plain.push(await cpuPerRequest(plain));
    figures.ours.push(await cpuPerRequest(ours));
    figures.stock.push(await cpuPerRequest(stock));
  }
  const client = median(figures.plain);
  const own = median(figures.ours) - client;
  const theirs = median(figures.stock) - client;
  const name = `nested list, ${DEPLOYMENTS} deployments, models × ${VERSIONS} versions: CPU per request`;
  return [
    { name: `${name}, Purser`, value: Math.round(own), unit: 'µs' },
    { name: `${name}, stock Apollo`, value: Math.round(theirs), unit: 'µs' },
    { name: `${name}, ratio`, value: (own / theirs).toFixed(2), unit: '×' },
  ];
}

/** Microseconds of CPU of this process per request, one after the other. */
async function cpuPerRequest(target: Target): Promise<number> {
  const before = process.cpuUsage();
  for (let i = 0; i < REQUESTS; i += 1) {
    const response = await ask(target, i);
    const text = await response.text();
    if (!response.ok || text.includes('"errors"')) throw new Error(`${target.url}: ${text.slice(0, 300)}`);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / REQUESTS;
}

const ask = ({ url, tokens }: Target, i: number, query = NESTED_QUERY, variables: object = {}): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${tokens[i % tokens.length] ?? ''}` },
    body: JSON.stringify({ query, variables }),
  });

/** Makes the deployments; answers with tokens to ask with. */
async function seed(database: Database, url: string, admin: string): Promise<string[]> {
  const gql = async <T>(query: string, variables: object = {}): Promise<T> => {
    const answer = (await (await ask({ url, tokens: [admin] }, 0, query, variables)).json()) as { data?: T; errors?: unknown };
    if (!answer.data) throw new Error(JSON.stringify(answer.errors));
    return answer.data;
  };
  await makeNestedDeployments(database, gql);
  const { viewer } = await gql<{ viewer: { principal: { id: string } } }>('{ viewer { principal { id } } }');
  const tokens: string[] = [];
  for (let i = 0; i < TOKENS; i += 1) {
    const made = await gql<{ createToken: { secret: string } }>(
      'mutation ($principal: ID!, $name: String!) { createToken(input: { principal: $principal, name: $name }) { secret userErrors { message } } }',
      { principal: viewer.principal.id, name: `bench-${i}` },
    );
    tokens.push(made.createToken.secret);
  }
  return tokens;
}

interface Running {
  readonly url: string;
  close(): Promise<unknown>;
}

const STOCK_SCHEMA = `
  type Query { deployments(first: Int): DeploymentConnection! }
  type DeploymentConnection { nodes: [Deployment!]! }
  type Deployment { id: ID! name: String! revision: Revision }
  type Revision { number: Int! modelVersion: ModelVersion }
  type ModelVersion { id: ID! number: Int! model: Model! }
  type Model { id: ID! name: String! versions(first: Int): ModelVersionConnection! }
  type ModelVersionConnection { nodes: [ModelVersion!]! }`;

interface VersionRow {
  readonly id: string;
  readonly number: number;
  readonly model_id: string;
}

interface RevisionRow {
  readonly number: number;
  readonly deployment_id: string;
  readonly model_version_id: string;
}

interface Loaders {
  readonly revisions: DataLoader<string, RevisionRow | undefined>;
  readonly modelVersions: DataLoader<string, VersionRow | undefined>;
  readonly models: DataLoader<string, { id: string; name: string } | undefined>;
  readonly versions: DataLoader<string, readonly VersionRow[]>;
}

/** A server as one would write it without any of ours: no identity, no limits, a pool, a loader per level. */
async function startStock(databaseUrl: string): Promise<Running> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4, options: '-c purser.scope=platform' });
  const rows = async <T extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<T[]> =>
    (await pool.query<T>(text, values)).rows;
  const resolvers = {
    Query: {
      deployments: async (_: unknown, { first }: { first: number }) => ({
        nodes: await rows('select id, name from deployment order by name limit $1', [first]),
      }),
    },
    Deployment: { revision: ({ id }: { id: string }, _: unknown, { revisions }: Loaders) => revisions.load(id) },
    Revision: {
      modelVersion: (row: RevisionRow, _: unknown, { modelVersions }: Loaders) => modelVersions.load(row.model_version_id),
    },
    ModelVersion: { model: (row: VersionRow, _: unknown, { models }: Loaders) => models.load(row.model_id) },
    Model: {
      versions: async ({ id }: { id: string }, { first }: { first: number }, { versions }: Loaders) => ({
        nodes: (await versions.load(id)).slice(0, first),
      }),
    },
  };
  const one = <T extends pg.QueryResultRow>(text: string, keyOf: (row: T) => string) =>
    new DataLoader<string, T | undefined>(async (ids) => {
      const byKey = new Map((await rows<T>(text, [ids])).map((row) => [keyOf(row), row]));
      return ids.map((id) => byKey.get(id));
    });
  const loaders = (): Loaders => ({
    revisions: one<RevisionRow>(
      'select number, deployment_id, model_version_id from revision where deployment_id = any ($1) order by number',
      (row) => row.deployment_id,
    ),
    modelVersions: one<VersionRow>('select id, number, model_id from model_version where id = any ($1)', ({ id }) => id),
    models: one<{ id: string; name: string }>('select id, name from model where id = any ($1)', ({ id }) => id),
    versions: new DataLoader<string, readonly VersionRow[]>(async (ids) => {
      const found = await rows<VersionRow>(
        'select id, number, model_id from model_version where model_id = any ($1) order by number desc',
        [ids],
      );
      const byModel = Map.groupBy(found, (row) => row.model_id);
      return ids.map((id) => byModel.get(id) ?? []);
    }),
  });
  const server = new ApolloServer<Loaders>({ typeDefs: STOCK_SCHEMA, resolvers });
  const { url } = await startStandaloneServer(server, {
    listen: { port: 0, host: '127.0.0.1' },
    context: () => Promise.resolve(loaders()),
  });
  return { url, close: () => server.stop().then(() => pool.end()) };
}

/** Sends the same bytes to everybody: what is left is the client's cost. */
function startPlain(body: string): Promise<Running> {
  const server: Server = createServer((request, response) => {
    request.resume().once('end', () => response.setHeader('content-type', 'application/json').end(body));
  });
  const close = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close }));
  });
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
