// Migrates databases and looks at what they hold then.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readdirSync } from 'node:fs';
import { MIGRATIONS } from '../../migrations/list.ts';
import { makeClient } from '../../src/persistence/connection.ts';
import { migrate } from '../../src/persistence/migrate.ts';
import { APP_ROLE } from '../../src/persistence/roles.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let db: TestDatabase;

beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

describe('Storage: migrations', () => {
  it('none is pending after a start', async () => {
    expect(await migrate(db.ownerUrl, APP_ROLE)).toEqual([]);
  });

  it('every file of the folder is in the list, oldest first', () => {
    const files = readdirSync(new URL('../../migrations', import.meta.url)).filter((file) => file.startsWith('Migration'));
    expect(MIGRATIONS.map(({ name }) => `${name}.ts`)).toEqual(files.sort());
  });

  it('rows from before a history have their first generation in it', async () => {
    const old = await openTestDatabase();
    const admin = makeClient(old.superUrl, 'test');
    await admin.connect();
    try {
      const [team, project] = ['00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002'];
      await admin.query(`drop table project_history, quota_history, cluster_history`);
      await admin.query(`delete from migration where name = 'Migration20261121001100_limits_history'`);
      await admin.query(`insert into team (id, name, version, created_at) values ('${team}', 'crew', 1, 0)`);
      await admin.query(`insert into project values ('${project}', '${team}', 'deck', 3, 500, 4, 1000)`);
      await admin.query(`insert into quota values ('${project}', '${team}', null, 'replicas', 9, 2)`);
      await admin.query(
        `insert into cluster (id, name, kind, version, created_at) values ('${project}', 'local', 'local', 5, 7)`,
      );
      expect(await migrate(old.ownerUrl, APP_ROLE)).toEqual(['Migration20261121001100_limits_history']);
      const { rows } = await admin.query(
        `select 'project' as kind, generation, valid_from::int from project_history
         union all select 'quota', generation, null from quota_history
         union all select 'cluster', generation, valid_from::int from cluster_history`,
      );
      expect(rows).toEqual([
        { kind: 'project', generation: 4, valid_from: 1000 },
        { kind: 'quota', generation: 2, valid_from: null },
        { kind: 'cluster', generation: 5, valid_from: 7 },
      ]);
    } finally {
      await admin.end();
      await old.close();
    }
  });

  it('pools that had machines before installations had ids keep the name by which their provider knows them', async () => {
    const old = await openTestDatabase();
    const admin = makeClient(old.superUrl, 'test');
    await admin.connect();
    try {
      const id = (n: number): string => `00000000-0000-7000-8000-00000000000${n}`;
      await admin.query(`alter table pool_scaling drop column key_prefix`);
      await admin.query(`delete from migration where name = 'Migration20261121002200_keys_of_pools'`);
      await admin.query(`insert into cluster (id, name, kind, version, created_at, config)
        values ('${id(1)}', 'east', 'kubernetes', 1, 0, '{"namespacePrefix":"crew"}')`);
      for (const [n, scaledAt] of [
        [2, '7'],
        [3, 'null'],
      ] as const) {
        await admin.query(`insert into pool (id, cluster_id, name, capacity_type, node_selector, version, created_at)
          values ('${id(n)}', '${id(1)}', 'p${n}', 'spot', '{}', 1, 0)`);
        await admin.query(`insert into pool_scaling (pool_id, provider, config, min_nodes, max_nodes, version, scaled_at)
          values ('${id(n)}', 'aws', '{}', 0, 1, 1, ${scaledAt})`);
      }
      expect(await migrate(old.ownerUrl, APP_ROLE)).toEqual(['Migration20261121002200_keys_of_pools']);
      const { rows } = await admin.query(`select pool_id, key_prefix from pool_scaling order by pool_id`);
      expect(rows).toEqual([
        { pool_id: id(2), key_prefix: 'crew' },
        { pool_id: id(3), key_prefix: null },
      ]);
    } finally {
      await admin.end();
      await old.close();
    }
  });

  it('run on the server that this suite is meant for', async () => {
    const [server] = await db.database.read({ kind: 'platform' }, (tx) =>
      sqlOf(tx).query<{ major: number }>(`select current_setting('server_version_num')::int / 10000 as major`),
    );
    const expected = /postgresql\/(\d+)\//.exec(process.env['PURSER_TEST_POSTGRES_BIN'] ?? '')?.[1] ?? '18';
    expect(server?.major).toBe(Number(expected));
  });
});
