import { createHmac } from 'node:crypto';
import type pg from 'pg';
import { makeClient } from './connection.ts';
import { Database } from './database.ts';
import { joinEmbeddedPostgres, type EmbeddedPostgres } from './embedded-postgres.ts';
import { migrate } from './migrate.ts';
import { socketUrl } from './postgres-server.ts';
import { APP_ROLE, OWNER_ROLE, ensureRoles } from './roles.ts';
import { sqlStateOf } from './sql-failure.ts';

/** The oldest server whose SQL the migrations use (`unique nulls not distinct`). */
const OLDEST_SERVER = 150_000;
const DATABASE_NAME = 'purser';
/** Key of the advisory lock under which roles are made. */
const ROLES_LOCK = 7_077_366;

/** Why the database cannot be used, as one sentence that names the mend. */
export class DatabaseRefused extends Error {
  override readonly name = 'DatabaseRefused';
}

export interface OpenDatabaseOptions {
  /** `PURSER_DATABASE_URL`; undefined = embedded. */
  readonly url?: string | undefined;
  /** `PURSER_DATABASE_OWNER_URL`: who migrates, when the first URL may not make roles. */
  readonly ownerUrl?: string | undefined;
  /** Absolute; where the embedded server belongs. */
  readonly dataDir: string;
  readonly maxConnections?: number;
  readonly applicationName?: string;
  /** As root: where the embedded server's files are, instead of the system's place. */
  readonly systemFolder?: string;
}

export interface OpenedDatabase {
  readonly database: Database;
  /** What the app role connects with. */
  readonly url: string;
  /** Names of the migrations that this start ran. */
  readonly migrated: readonly string[];
  /** Closes connections; if embedded and this was the last instance, stops the server. */
  close(): Promise<void>;
}

/** Finds or starts the server, migrates as the owner, checks the app role, connects. Throws `DatabaseRefused` or `EmbeddedDatabaseError`. */
export async function openDatabase(options: OpenDatabaseOptions): Promise<OpenedDatabase> {
  if (options.url !== undefined) return connect(options, await prepareOwn(options.url, options.ownerUrl), null);
  const embedded = await joinEmbeddedPostgres(options);
  try {
    return await connect(options, await prepareEmbedded(embedded.socketFolder), embedded);
  } catch (error) {
    await embedded.leave();
    throw error;
  }
}

/** Who serves and who migrates. */
interface Urls {
  readonly app: string;
  /** The role of `app`. */
  readonly appRole: string;
  readonly owner: string;
}

async function connect(options: OpenDatabaseOptions, urls: Urls, embedded: EmbeddedPostgres | null): Promise<OpenedDatabase> {
  const migrated = await migrate(urls.owner, urls.appRole).catch(refuseWhatIsNotAllowed);
  await asClient(urls.app, refuseUnsafeRole);
  const database = await Database.connect({
    url: urls.app,
    ...(options.maxConnections === undefined ? {} : { maxConnections: options.maxConnections }),
    ...(options.applicationName === undefined ? {} : { applicationName: options.applicationName }),
  });
  const close = async (): Promise<void> => {
    await database.close();
    await embedded?.leave();
  };
  return { database, url: urls.app, migrated, close };
}

/** SQLSTATE `insufficient_privilege`: the owner was given no more than a login. */
function refuseWhatIsNotAllowed(error: unknown): never {
  if (sqlStateOf(error) !== '42501') throw error;
  throw new DatabaseRefused(
    `The role that migrates may not make tables (${messageOf(error)}): make it, or the role of PURSER_DATABASE_URL that stands in for it, ` +
      `the owner of the database.`,
  );
}

/** Roles and database of the embedded server, made by its superuser, who is used for nothing else. */
async function prepareEmbedded(socketFolder: string): Promise<Urls> {
  const owner = socketUrl(socketFolder, OWNER_ROLE, DATABASE_NAME);
  await asClient(socketUrl(socketFolder, 'postgres', 'postgres'), async (client) => {
    await ensureRoles(client);
    const found = await client.query(`select 1 from pg_database where datname = $1`, [DATABASE_NAME]);
    if (found.rowCount === 0) await client.query(`create database ${DATABASE_NAME} owner ${OWNER_ROLE}`).catch(ignoreDuplicate);
  });
  return { app: socketUrl(socketFolder, APP_ROLE, DATABASE_NAME), appRole: APP_ROLE, owner };
}

/**
 * Somebody's own server. With an owner's URL the first URL must already be an unprivileged role; without one the first URL's role must
 * be able to make both roles, which get a password of their own.
 */
async function prepareOwn(url: string, ownerUrl: string | undefined): Promise<Urls> {
  const who = await asUser('PURSER_DATABASE_URL', url, describeRole);
  if (who.version < OLDEST_SERVER) {
    throw new DatabaseRefused(`The database server is PostgreSQL ${Math.floor(who.version / 10_000)}: Purser needs 15 or later.`);
  }
  if (ownerUrl !== undefined) return prepareWithOwner(url, ownerUrl, who);
  if (who.mayMakeRoles) return makeOwnRoles(url);
  throw new DatabaseRefused(
    `The role "${who.name}" of PURSER_DATABASE_URL may not create roles: set PURSER_DATABASE_OWNER_URL to a role that owns the database, ` +
      `and PURSER_DATABASE_URL to one without BYPASSRLS that does not.`,
  );
}

/**
 * Makes both roles with passwords derived from the administrator's own, so that every instance knows them and none is stored. Under the
 * lock, because two instances that start at once would change the same role.
 */
async function makeOwnRoles(url: string): Promise<Urls> {
  const passwords = { owner: derivedPassword(url, OWNER_ROLE), app: derivedPassword(url, APP_ROLE) };
  await asClient(url, async (admin) => {
    await admin.query('select pg_advisory_lock($1)', [ROLES_LOCK]);
    await ensureRoles(admin);
    await admin.query(
      `alter role ${OWNER_ROLE} password '${passwords.owner}'; alter role ${APP_ROLE} password '${passwords.app}'`,
    );
    await admin.query(`grant create, usage on schema public to ${OWNER_ROLE}`);
  }).catch(refuseForeignRoles);
  const urls = {
    app: withUser(url, APP_ROLE, passwords.app),
    appRole: APP_ROLE,
    owner: withUser(url, OWNER_ROLE, passwords.owner),
  };
  for (const made of [urls.owner, urls.app]) await asUser('PURSER_DATABASE_URL', made, () => Promise.resolve());
  return urls;
}

function refuseForeignRoles(error: unknown): never {
  if (sqlStateOf(error) !== '42501') throw error;
  throw new DatabaseRefused(
    `The role of PURSER_DATABASE_URL may not set up ${OWNER_ROLE} and ${APP_ROLE} (${messageOf(error)}): name the role that made them, ` +
      `or set PURSER_DATABASE_OWNER_URL too and use roles of your own.`,
  );
}

const USER_PART = /^(postgres(?:ql)?:\/\/)(?:([^@/?]*)@)?/;

/** 256 bits that only somebody who knows the administrator's password can compute. */
const derivedPassword = (url: string, role: string): string =>
  createHmac('sha256', USER_PART.exec(url)?.[2] ?? '')
    .update(`purser role ${role}`)
    .digest('hex');

const withUser = (url: string, user: string, password: string): string => url.replace(USER_PART, `$1${user}:${password}@`);

async function prepareWithOwner(url: string, ownerUrl: string, app: RoleFacts): Promise<Urls> {
  const owner = await asUser('PURSER_DATABASE_OWNER_URL', ownerUrl, describeRole);
  if (owner.name === app.name) {
    throw new DatabaseRefused(
      `PURSER_DATABASE_URL and PURSER_DATABASE_OWNER_URL name the same role "${app.name}": the one that serves must not own the tables.`,
    );
  }
  if (owner.place !== app.place) {
    throw new DatabaseRefused(
      `PURSER_DATABASE_URL and PURSER_DATABASE_OWNER_URL lead to two databases ("${app.database}" and "${owner.database}"): name one.`,
    );
  }
  refuseUnsafe(app);
  return { app: url, appRole: app.name, owner: ownerUrl };
}

interface RoleFacts {
  readonly name: string;
  readonly version: number;
  readonly database: string;
  /** The same for two connections to one database of one server. */
  readonly place: string;
  readonly mayMakeRoles: boolean;
  readonly bypasses: boolean;
  readonly ownsTables: boolean;
}

async function describeRole(client: pg.Client): Promise<RoleFacts> {
  const { rows } = await client.query<RoleFacts>(`
    select rolname as name, current_setting('server_version_num')::int as version, rolsuper or rolcreaterole as "mayMakeRoles",
      current_database()::text as database, current_database() || ' ' || pg_postmaster_start_time() as place,
      exists (select from pg_roles r where (r.rolsuper or r.rolbypassrls) and pg_has_role(current_user, r.oid, 'member')) as bypasses,
      exists (select from pg_class join pg_namespace n on n.oid = relnamespace where nspname = 'public' and relkind = 'r' and pg_has_role(relowner, 'member')) as "ownsTables"
    from pg_roles where rolname = current_user`);
  const [facts] = rows;
  if (!facts) throw new DatabaseRefused('The database does not say which role this is.');
  return facts;
}

/** The second wall must hold against the role that serves: no superuser, no BYPASSRLS, no owner of the tables. */
const refuseUnsafeRole = async (client: pg.Client): Promise<void> => refuseUnsafe(await describeRole(client));

function refuseUnsafe(role: RoleFacts): void {
  if (role.bypasses || role.ownsTables) {
    throw new DatabaseRefused(
      `The role "${role.name}" of PURSER_DATABASE_URL ${role.bypasses ? 'may bypass row-level security' : 'owns the tables'}: ` +
        `give one that is no superuser, has no BYPASSRLS and is not the owner.`,
    );
  }
}

/** The same with a connection that somebody configured: why it cannot be made is told in terms of the setting, without the password. */
async function asUser<T>(setting: string, url: string, body: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = openClient(setting, url);
  await client.connect().catch((error: unknown) => {
    throw new DatabaseRefused(`The database of ${setting} cannot be reached: ${messageOf(error)}.`);
  });
  try {
    return await body(client);
  } finally {
    await client.end();
  }
}

function openClient(setting: string, url: string): pg.Client {
  try {
    return makeClient(url, 'purser start');
  } catch {
    throw new DatabaseRefused(`${setting} is no connection string: write postgresql://user:password@host:port/database.`);
  }
}

/** Trying several addresses of one name gives an error for each, and none for all. */
const messageOf = (error: unknown): string =>
  error instanceof AggregateError
    ? error.errors.map(messageOf).join(', ')
    : error instanceof Error
      ? error.message
      : String(error);

async function asClient<T>(url: string, body: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = makeClient(url, 'purser start');
  await client.connect();
  try {
    return await body(client);
  } finally {
    await client.end();
  }
}

const ignoreDuplicate = (error: unknown): void => {
  const state = (error as { code?: string }).code;
  if (state !== '42P04' && state !== '23505') throw error;
};
