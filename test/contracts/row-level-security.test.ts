// Reads the catalogue for every table with tenants' rows and tries, as a tenant, to read, insert and change another team's row in each.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Scope } from '../../src/kernel/transaction.ts';
import { makeClient } from '../../src/persistence/connection.ts';
import { sqlStateOf } from '../../src/persistence/sql-failure.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const OWN = '00000000-0000-7000-8000-0000000000a1';
const FOREIGN = '00000000-0000-7000-8000-0000000000b2';
const TENANT: Scope = { kind: 'tenant', teamIds: [OWN] };
const INSUFFICIENT_PRIVILEGE = '42501';

interface Column {
  readonly name: string;
  readonly type: string;
  readonly generated: boolean;
}

let db: TestDatabase;
let tables: string[] = [];

beforeAll(async () => {
  db = await openTestDatabase();
  tables = (
    await asSuper<{
      name: string;
    }>(`select c.table_name as name from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and c.column_name = 'team_id' and t.table_type = 'BASE TABLE'
      and not (select relispartition from pg_class where oid = c.table_name::regclass) order by 1`)
  ).map(({ name }) => name);
  for (const table of tables) await asSuper(await insertion(table, FOREIGN));
});
afterAll(() => db.close());

/** Past every wall: no row-level security, no foreign keys, no triggers. */
async function asSuper<R extends object>(statement: string): Promise<R[]> {
  const client = makeClient(db.superUrl, 'test');
  await client.connect();
  try {
    await client.query(`set session_replication_role = replica`);
    return (await client.query<R>(statement)).rows;
  } finally {
    await client.end();
  }
}

/** An INSERT with some value of the right type in every column and `team` as the tenant. */
async function insertion(table: string, team: string): Promise<string> {
  const columns =
    await asSuper<Column>(`select column_name as name, udt_name as type, (is_generated = 'ALWAYS' or is_identity = 'YES') as generated
    from information_schema.columns where table_schema = 'public' and table_name = '${table}'`);
  const constraints = await asSuper<{ definition: string }>(
    `select pg_get_constraintdef(oid) as definition from pg_constraint where contype = 'c' and conrelid = '${table}'::regclass`,
  );
  const written = columns.filter((column) => !column.generated);
  const values = written.map((column) =>
    valueOf(
      table,
      column,
      team,
      constraints.map(({ definition }) => definition),
    ),
  );
  return `insert into ${table} (${written.map(({ name }) => `"${name}"`).join(', ')}) values (${values.join(', ')})`;
}

const BY_TYPE: Readonly<Record<string, string>> = {
  uuid: 'gen_random_uuid()',
  text: `md5(random()::text)`,
  int4: '1',
  int8: '1',
  numeric: '1',
  float8: '1',
  bool: 'false',
  jsonb: `'{}'`,
  bytea: `sha256(random()::text::bytea)`,
  xid8: 'pg_current_xact_id()',
  _text: `'{}'`,
  _uuid: `'{}'`,
  _int8: `'{}'`,
};

function valueOf(table: string, column: Column, team: string, checks: readonly string[]): string {
  if (column.name === 'team_id' || (table === 'team' && column.name === 'id')) return `'${team}'`;
  // A column limited to some words takes the first of them.
  const check = checks.find((definition) => new RegExp(`\\(\\(?${column.name} = ANY`).test(definition));
  const word = check === undefined ? undefined : /'([^']+)'/.exec(check)?.[1];
  const value = word === undefined ? BY_TYPE[column.type] : `'${word}'`;
  if (value === undefined) throw new Error(`${table}.${column.name}: no sample value for type ${column.type}`);
  return value;
}

describe('Row-level security: the second wall', () => {
  it('is forced on every table with tenants’ rows, with exactly the three named policies', async () => {
    const walls = await asSuper<{ name: string; forced: boolean; policies: string[] }>(`
      select relname as name, relrowsecurity and relforcerowsecurity as forced,
        coalesce((select array_agg(polname::text order by polname) from pg_policy where polrelid = c.oid), '{}') as policies
      from pg_class c where relname = any ('{${tables.join(',')}}') and relnamespace = 'public'::regnamespace order by relname`);
    expect(tables.length).toBeGreaterThan(15);
    expect(walls).toEqual(tables.map((name) => ({ name, forced: true, policies: ['platform', 'reconciler', 'tenant'] })));
  });

  it('a tenant reads no foreign row in any table; platform and loops do', async () => {
    for (const table of tables) {
      const count = (scope: Scope) =>
        db.database.read(
          scope,
          async (tx) =>
            (await sqlOf(tx).query<{ n: number }>(`select count(*) as n from ${table} where team_id = '${FOREIGN}'`))[0]?.n,
        );
      expect([table, await count(TENANT)]).toEqual([table, 0]);
      expect([table, await count({ kind: 'tenant', teamIds: [] })]).toEqual([table, 0]);
      expect([table, await count({ kind: 'platform' })]).toEqual([table, 1]);
      expect([table, await count({ kind: 'reconciler', loop: 'test' })]).toEqual([table, 1]);
    }
  });

  it('a tenant inserts no row for a foreign team in any table', async () => {
    for (const table of tables) {
      const statement = await insertion(table, FOREIGN);
      const error = await db.database.write(TENANT, (tx) => sqlOf(tx).execute(statement)).catch((reason: unknown) => reason);
      expect([table, sqlStateOf(error)]).toEqual([table, INSUFFICIENT_PRIVILEGE]);
    }
  });

  it('a tenant changes and deletes no foreign row in any table', async () => {
    for (const table of tables) {
      const column = table === 'team' ? 'created_at = created_at' : 'team_id = team_id';
      const changed = await db.database.write(TENANT, (tx) => sqlOf(tx).execute(`update ${table} set ${column}`));
      const deleted = await db.database.write(TENANT, (tx) => sqlOf(tx).execute(`delete from ${table}`));
      expect([table, changed, deleted]).toEqual([table, 0, 0]);
    }
  });

  it('a connection that says nothing of itself sees nothing, and the app role cannot switch the wall off', async () => {
    expect(await db.database.autocommit<{ n: number }>('select count(*) as n from team', 1_000)).toEqual([{ n: 0 }]);
    const off = db.database.autocommit('alter table team disable row level security', 1_000);
    await expect(off).rejects.toThrow(/must be owner/);
  });

  it('teams cannot be smuggled into the scope', async () => {
    const smuggled: Scope = { kind: 'tenant', teamIds: [`${OWN}},{${FOREIGN}`] };
    await expect(db.database.read(smuggled, (tx) => sqlOf(tx).query('select * from team'))).rejects.toThrow();
  });
});
