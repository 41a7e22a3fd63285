// Compares what the ORM believes of the tables with the catalogue of a migrated database.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readdirSync } from 'node:fs';
import { MIGRATIONS } from '../../migrations/list.ts';
import { pendingMigrations } from '../../src/persistence/migrate.ts';
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

  it('run on the server that this suite is meant for', async () => {
    const [server] = await db.database.read({ kind: 'platform' }, (tx) =>
      sqlOf(tx).query<{ major: number }>(`select current_setting('server_version_num')::int / 10000 as major`),
    );
    const expected = /postgresql\/(\d+)\//.exec(process.env['PURSER_TEST_POSTGRES_BIN'] ?? '')?.[1] ?? '18';
    expect(server?.major).toBe(Number(expected));
  });
});
