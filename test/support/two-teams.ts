import { createHash, randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { toGlobalId } from '../../src/graphql/global-id.ts';
import { makeClient } from '../../src/persistence/connection.ts';
import type { Form } from './schema-calls.ts';

/** One thing of every kind that a team can have, by all its names. */
export type Belongings = Readonly<Record<string, Readonly<Record<Form, string>>>>;

type Ids = Readonly<Record<string, string>>;

const WISH = JSON.stringify({
  ...{
    model: 'thing',
    version: { number: 1 },
    replicas: 1,
    resources: null,
    concurrency: 1,
    deadlineMs: 1_000,
    queueLimit: 1,
    retryable: false,
  },
  ...{ hosts: [], maxReplicas: 1, maxSpendPerHour: '1000000000000', traffic: [{ revision: 1, weight: 100 }] },
  placement: { regions: ['nobody/nowhere'], capacityTypes: ['on_demand'] },
});
const RUNS = JSON.stringify({
  ...{ modelVersionNumber: 1, runtime: { format: 'onnx' }, artifactDigest: null, protocol: 'oip', retryable: false },
  resources: { cpuMilli: 100, memoryMib: 64, accelerator: null },
});

/** Rows as they are stored, one per kind, so that this needs no feature to work; `$1` is the row's id, the rest are earlier rows. */
const ROWS: readonly { kind: string; text: string; uses: readonly string[] }[] = [
  { kind: 'Project', text: `insert into project values ($1, $2, 'things', 10, 5000000000000, 1, 0)`, uses: ['Team'] },
  {
    kind: 'Principal',
    text: `insert into principal (id, kind, name, team_id, created_at) values ($1, 'service_account', 'robot', $2, 0)`,
    uses: ['Team'],
  },
  {
    kind: 'Token',
    text: `insert into token (id, principal_id, team_id, type, name, hash, hint, created_at) values ($1::uuid, $3, $2, 'service', 'key', sha256($1::uuid::text::bytea), 'abcd', 0)`,
    uses: ['Team', 'Principal'],
  },
  { kind: 'Model', text: `insert into model values ($1, $2, $3, 'thing', '', 1, 0, 'test')`, uses: ['Team', 'Project'] },
  {
    kind: 'ModelVersion',
    text: `insert into model_version (id, team_id, project_id, model_id, number, format, runtime, resources, created_at, created_by)
      values ($1, $2, $3, $4, 1, 'onnx', '{"format":"onnx"}', '{"cpuMilli":100,"memoryMib":64,"accelerator":null}', 0, 'test')`,
    uses: ['Team', 'Project', 'Model'],
  },
  {
    kind: 'Deployment',
    text: `insert into deployment (id, team_id, project_id, name, spec, generation, version, phase, created_at, created_by, updated_at)
      values ($1, $2, $3, 'thing', '${WISH}', 1, 1, 'PENDING', 0, 'test', 0)`,
    uses: ['Team', 'Project'],
  },
  {
    kind: 'Offering',
    text: `insert into offering (id, provider, region, instance_type, capacity_type, architecture, cpu_milli)
      values ($1::uuid, 'nobody', 'nowhere', $1::uuid::text, 'on_demand', 'x86_64', 1000)`,
    uses: [],
  },
  {
    kind: 'PriceFeed',
    text: `insert into price_feed (id, name, interval_ms, stale_after_ms, created_at) values ($1::uuid, $1::uuid::text, 60000, 3600000, 0)`,
    uses: [],
  },
  {
    kind: 'QuarantinedPrice',
    text: `insert into quarantined_price (id, feed, offering_id, offering_key, amount_text, unit, currency, code, message, observed_at)
      values ($1, $2::uuid::text, $3, 'nobody/nowhere', 'NaN', 'hour', 'USD', 'AMOUNT_UNREADABLE', 'It is no amount.', 0)`,
    uses: ['PriceFeed', 'Offering'],
  },
  {
    kind: 'PriceAgreement',
    text: `insert into price_agreement (id, kind, name, spec, valid_from, version)
      values ($1::uuid, 'discount', $1::uuid::text, '{"kind":"discount","percentMilli":1}', 0, 1)`,
    uses: [],
  },
  {
    kind: 'Cluster',
    text: `insert into cluster (id, name, kind, version, created_at) values ($1::uuid, 'cluster-' || $1::uuid::text, 'simulated', 1, 0)`,
    uses: [],
  },
  {
    kind: 'Pool',
    text: `insert into pool (id, cluster_id, name, capacity_type, version, created_at) values ($1, $2, 'pool', 'on_demand', 1, 0)`,
    uses: ['Cluster'],
  },
  {
    kind: 'ClusterNode',
    text: `insert into node (id, cluster_id, name, capacity_type, capacity, allocatable, from_at, readiness, readiness_since, schedulable, releasing, pods,
        observed_at, version)
      values ($1, $2, 'node', 'on_demand', '{"cpuMilli": 1000, "memoryMib": 1024, "accelerator": null}',
        '{"cpuMilli": 1000, "memoryMib": 1024, "accelerator": null}', 0, 'ready', 0, true, false, 0, 0, 1)`,
    uses: ['Cluster'],
  },
  {
    kind: 'Revision',
    text: `insert into revision (id, team_id, project_id, deployment_id, number, model_id, model_version_id, spec, concurrency, created_at, created_by)
      values ($1, $2, $3, $4, 1, $5, $6, '${RUNS}', 1, 0, 'test')`,
    uses: ['Team', 'Project', 'Deployment', 'Model', 'ModelVersion'],
  },
  {
    kind: 'Workload',
    text: `insert into workload (id, team_id, project_id, deployment_id, revision_id, cluster_id, pool_id, offering_id, replicas, generation, created_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8, 1, 1, 0)`,
    uses: ['Team', 'Project', 'Deployment', 'Revision', 'Cluster', 'Pool', 'Offering'],
  },
  {
    kind: 'Replica',
    text: `insert into replica (id, team_id, project_id, deployment_id, revision_id, workload_id, cluster_id, offering_id, state, capacity_from,
        capacity_until, observed_at, last_evidence_at) values ($1, $2, $3, $4, $5, $6, $7, $8, 'serving', 0, null, 60000, 60000)`,
    uses: ['Team', 'Project', 'Deployment', 'Revision', 'Workload', 'Cluster', 'Offering'],
  },
  // What looking back reads: `node` knows none of these.
  {
    kind: 'Serving',
    text: `insert into replica_transition values ($2, 0, $3, 1000, 'serving') returning $1::uuid`,
    uses: ['Replica', 'Team'],
  },
  {
    kind: 'Wish',
    text: `insert into deployment_history values ($2, 1, $3, '${WISH}', 0, 'test') returning $1::uuid`,
    uses: ['Deployment', 'Team'],
  },
  {
    kind: 'Alias',
    text: `insert into model_alias_history values ($2, 'stable', 1, $3, $4, 0, 'test') returning $1::uuid`,
    uses: ['Model', 'Team', 'ModelVersion'],
  },
  {
    kind: 'Decision',
    text: `insert into decision (id, team_id, project_id, deployment_id, kind, subject_kind, subject_id, at, principal, inputs, candidates, rejected, reasons)
      values ($1, $2, $3, $4, 'deploy', 'Deployment', $4, 0, 'test', '{}', '[]', '[]', '[]')`,
    uses: ['Team', 'Project', 'Deployment'],
  },
];

/** Fills a team that exists with one of everything. */
export async function furnish(superUrl: string, team: string): Promise<Belongings> {
  const client = makeClient(superUrl, 'purser test');
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string }>(`select id from team where name = $1`, [team]);
    return named(await insertAll(client, rows[0]!.id), team);
  } finally {
    await client.end();
  }
}

async function insertAll(client: Client, teamId: string): Promise<Ids> {
  const ids: Record<string, string> = { Team: teamId };
  for (const { kind, text, uses } of ROWS) {
    const id = randomUUID();
    await client.query(text, [id, ...uses.map((use) => ids[use])]);
    ids[kind] = id;
  }
  return ids;
}

/** Names of things that do not exist, as long as those that do. */
export const nothing = (team: string): Belongings =>
  named(Object.fromEntries(['Team', ...ROWS.map(({ kind }) => kind)].map((kind) => [kind, uuidOf(`${team}/${kind}`)])), team);

const uuidOf = (text: string): string =>
  createHash('sha256')
    .update(text)
    .digest('hex')
    .replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-7$3-8$4-$5');

const PATHS: Readonly<Record<string, string>> = {
  Project: '/things',
  Model: '/things/thing',
  ModelVersion: '/things/thing/1',
  Deployment: '/things/thing',
};

const named = (ids: Ids, team: string): Belongings =>
  Object.fromEntries(
    Object.entries(ids).map(([kind, id]) => [
      kind,
      { id: toGlobalId(kind, id), path: `${team}${PATHS[kind] ?? ''}`, name: team },
    ]),
  );
