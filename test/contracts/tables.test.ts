// Compares what the ORM believes of the tables with the catalogue of a migrated database.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readdirSync } from 'node:fs';
import { MIGRATIONS } from '../../migrations/list.ts';
import { makeClient } from '../../src/persistence/connection.ts';
import { migrate, pendingMigrations } from '../../src/persistence/migrate.ts';
import { APP_ROLE } from '../../src/persistence/roles.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

interface Column {
  readonly table: string;
  readonly name: string;
  readonly nullable: boolean;
}

let db: TestDatabase;
let columns: Map<string, Column>;

beforeAll(async () => {
  db = await openTestDatabase();
  const rows = await db.database.read({ kind: 'platform' }, (tx) =>
    sqlOf(tx).query<Column>(
      `select table_name as table, column_name as name, is_nullable = 'YES' as nullable from information_schema.columns where table_schema = 'public'`,
    ),
  );
  columns = new Map(rows.map((column) => [`${column.table}.${column.name}`, column]));
});
afterAll(() => db.close());

/** What an entity says of one of its columns, and what the table says. */
interface Belief {
  readonly column: string;
  readonly nullable: boolean;
  readonly actual: boolean | 'no such column';
}

function beliefs(): Belief[] {
  const metas = [...db.database.metadata.getAll().values()].filter((meta) => !meta.virtual && !meta.embeddable && !meta.abstract);
  return metas.flatMap((meta) =>
    Object.values(meta.properties).flatMap((property) => {
      if (property.persist === false || property.fieldNames.length === 0) return [];
      return property.fieldNames.map((field) => {
        const column = `${meta.tableName}.${field}`;
        return {
          column,
          nullable: property.nullable ?? false,
          actual: columns.get(column)?.nullable ?? ('no such column' as const),
        };
      });
    }),
  );
}

describe('Storage: entities and tables agree', () => {
  it('every property of every entity is a column with the same nullability', () => {
    expect(beliefs().filter(({ nullable, actual }) => nullable !== actual)).toEqual([]);
  });
});

describe('Storage: migrations', () => {
  it('none is pending after a start', async () => {
    expect(await pendingMigrations(db.ownerUrl)).toEqual([]);
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

  it('run on the server that this suite is meant for', async () => {
    const [server] = await db.database.read({ kind: 'platform' }, (tx) =>
      sqlOf(tx).query<{ major: number }>(`select current_setting('server_version_num')::int / 10000 as major`),
    );
    const expected = /postgresql\/(\d+)\//.exec(process.env['PURSER_TEST_POSTGRES_BIN'] ?? '')?.[1] ?? '18';
    expect(server?.major).toBe(Number(expected));
  });
});
