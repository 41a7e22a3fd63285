import { MikroORM } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { PostgresDialect } from 'kysely';
import { MIGRATIONS } from '../../migrations/list.ts';
import { honestPool, makeClient, makePool } from './connection.ts';
import { grantsTo } from './roles.ts';

/** The key of the advisory lock under which migrations run; any number of our own, the same in every version. */
const MIGRATION_LOCK = 7_077_365;

/**
 * Brings the schema up to date as the owner of the tables, once, however many instances start at the same time: the others wait.
 * Returns the names of the migrations that ran. All of them run in one transaction. `app` may read and write the tables afterwards.
 */
export async function migrate(ownerUrl: string, app: string): Promise<string[]> {
  const lock = makeClient(ownerUrl, 'purser migration lock');
  await lock.connect();
  try {
    await lock.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await lock.query(grantsTo(app));
    return await withMigrator(ownerUrl, async (migrator) => (await migrator.up()).map(({ name }) => name));
  } finally {
    await lock.end();
  }
}

async function withMigrator<T>(ownerUrl: string, body: (migrator: MikroORM['migrator']) => Promise<T>): Promise<T> {
  const pool = makePool({ url: ownerUrl, max: 2, applicationName: 'purser migrate', statementTimeoutMs: 0, queryTimeoutMs: 0 });
  // The migrator creates a database that it does not find under this name.
  const found = await pool.query<{ name: string }>('select current_database() as name');
  const orm = await MikroORM.init<PostgreSqlDriver>({
    driver: PostgreSqlDriver,
    driverOptions: new PostgresDialect({ pool: honestPool(pool) }),
    dbName: found.rows[0]?.name ?? 'postgres',
    ensureDatabase: false,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    extensions: [Migrator],
    logger: () => undefined,
    migrations: {
      tableName: 'migration',
      snapshot: false,
      transactional: true,
      allOrNothing: true,
      migrationsList: MIGRATIONS.map((migration) => ({ name: migration.name, class: migration })),
    },
  });
  try {
    return await body(orm.migrator);
  } finally {
    // The migrator may have ended the pool already; the ORM holds nothing else.
    if (!pool.ending) await pool.end();
  }
}
