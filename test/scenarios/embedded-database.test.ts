// Starts the real embedded server in a folder of its own, with several instances as processes where a SIGKILL is meant.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmod, cp, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { MIGRATIONS } from '../../migrations/list.ts';
import { makeClient } from '../../src/persistence/connection.ts';
import { joinEmbeddedPostgres } from '../../src/persistence/embedded-postgres.ts';
import { openDatabase } from '../../src/persistence/open-database.ts';
import { pidOf, socketUrl } from '../../src/persistence/postgres-server.ts';
import { isAlive } from '../../src/persistence/process-identity.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { eventually } from '../support/eventually.ts';

const asRoot = process.getuid?.() === 0;
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'purser-embedded-'));
  await chmod(root, 0o755);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const optionsOf = (name: string) => ({ dataDir: join(root, name), systemFolder: join(root, 'system') });

/** The server's folder of a data folder: as root one of the hashes below the system folder. */
async function serverFolder(name: string, before: readonly string[] = []): Promise<string> {
  if (!asRoot) return join(root, name, 'postgres');
  const names = (await readdir(join(root, 'system'))).filter(
    (entry) => !entry.startsWith('postgresql-') && !before.includes(entry),
  );
  return join(root, 'system', names[0] ?? '');
}

const systemEntries = () => readdir(join(root, 'system')).catch(() => []);

describe('Embedded database: one server per data folder, for as long as somebody uses it', () => {
  it(
    'serves as an unprivileged role, behind a private socket, and ends with the last instance',
    { timeout: 120_000 },
    async () => {
      const before = await systemEntries();
      const [first, second] = await Promise.all([openDatabase(optionsOf('one')), openDatabase(optionsOf('one'))]);
      const folder = await serverFolder('one', before);
      const pid = await pidOf(folder);
      expect(pid).not.toBeNull();
      // Both started on an empty database at once: one ran every migration, once, and the other waited.
      expect([...first.migrated, ...second.migrated]).toEqual(MIGRATIONS.map(({ name }) => name));
      const role = await first.database.read({ kind: 'platform' }, (tx) =>
        sqlOf(tx).query(
          `select current_user::text as name, rolsuper or rolbypassrls as powerful from pg_roles where rolname = current_user`,
        ),
      );
      expect(role).toEqual([{ name: 'purser_app', powerful: false }]);
      const socket = await stat(join(folder, 'run'));
      expect(socket.mode & 0o777).toBe(0o700);
      if (asRoot) expect((await stat(`/proc/${pid}`)).uid).toBe(socket.uid);
      if (asRoot) expect([0, 65_534]).not.toContain(socket.uid);
      await first.close();
      expect(isAlive(pid ?? 0)).toBe(true);
      await second.close();
      await eventually(() => !isAlive(pid ?? 0));
    },
  );

  it(
    'keeps its data, is adopted after its only instance was killed, and is stopped by the next one to leave',
    { timeout: 120_000 },
    async () => {
      const before = await systemEntries();
      const child = await instance('two');
      const folder = await serverFolder('two', before);
      const pid = await pidOf(folder);
      child.kill('SIGKILL');
      await eventually(() => child.exitCode !== null || child.signalCode !== null);
      expect(isAlive(pid ?? 0)).toBe(true);
      const adopted = await openDatabase(optionsOf('two'));
      expect(await pidOf(folder)).toBe(pid);
      expect(adopted.migrated).toEqual([]);
      await adopted.close();
      await eventually(() => !isAlive(pid ?? 0));
    },
  );

  it('loses no acknowledged write when it is killed under load, and is started again', { timeout: 120_000 }, async () => {
    const before = await systemEntries();
    const opened = await openDatabase(optionsOf('killed'));
    const folder = await serverFolder('killed', before);
    const acknowledged: string[] = [];
    let failed = 0;
    let stopping = false;
    const writer = async (id: number): Promise<void> => {
      for (let n = 0; !stopping; n += 1) {
        const name = `${id}-${n}`;
        await opened.database
          .write({ kind: 'reconciler', loop: 'test' }, (tx) =>
            sqlOf(tx).execute(`insert into price_book_load (digest, rows, loaded_at) values ($1, 0, 0)`, [name]),
          )
          .then(
            () => void acknowledged.push(name),
            () => void (failed += 1),
          );
      }
    };
    // More writers than connections: a connection that leaked would starve them.
    const writers = Array.from({ length: 20 }, (_, id) => writer(id));
    for (let kill = 0; kill < 2; kill += 1) {
      const written = acknowledged.length;
      await eventually(() => acknowledged.length > written + 200, 30_000);
      process.kill((await pidOf(folder)) ?? 0, 'SIGKILL');
      await eventually(() => failed > 0);
    }
    const written = acknowledged.length;
    await eventually(() => acknowledged.length > written + 200, 30_000);
    stopping = true;
    await Promise.all(writers);
    const rows = await opened.database.read({ kind: 'platform' }, (tx) =>
      sqlOf(tx).query<{ digest: string }>(`select digest from price_book_load`),
    );
    const found = new Set(rows.map(({ digest }) => digest));
    expect(acknowledged.filter((name) => !found.has(name))).toEqual([]);
    await opened.close();
  });

  it('refuses data of another major version with one sentence', { timeout: 120_000 }, async () => {
    const before = await systemEntries();
    const opened = await joinEmbeddedPostgres(optionsOf('three'));
    const folder = await serverFolder('three', before);
    await opened.leave();
    await writeFile(join(folder, 'data', 'PG_VERSION'), '17\n');
    await expect(joinEmbeddedPostgres(optionsOf('three'))).rejects.toThrow(
      /was written by PostgreSQL 17, and this version of Purser brings 18/,
    );
  });

  it.skipIf(!asRoot)(
    'a data folder that was moved finds it again, and a copy of one is refused',
    { timeout: 120_000 },
    async () => {
      const opened = await joinEmbeddedPostgres(optionsOf('moved'));
      await opened.leave();
      await cp(join(root, 'moved'), join(root, 'copied'), { recursive: true });
      await expect(joinEmbeddedPostgres(optionsOf('copied'))).rejects.toThrow(/copied is a copy of .*moved, whose database/);
      await rename(join(root, 'moved'), join(root, 'elsewhere'));
      const again = await joinEmbeddedPostgres(optionsOf('elsewhere'));
      expect(again.socketFolder).toBe(opened.socketFolder);
      await again.leave();
    },
  );

  it('a data folder that was removed starts with an empty one', { timeout: 120_000 }, async () => {
    const first = await openDatabase(optionsOf('removed'));
    await first.close();
    await rm(join(root, 'removed'), { recursive: true });
    const second = await openDatabase(optionsOf('removed'));
    expect(second.migrated).toEqual(MIGRATIONS.map(({ name }) => name));
    await second.close();
  });

  it('finds a shorter place for its socket when the folder’s path is too long', { timeout: 120_000 }, async () => {
    const long = { ...optionsOf(`four-${'x'.repeat(90)}`), systemFolder: join(root, `system-${'y'.repeat(90)}`) };
    const opened = await joinEmbeddedPostgres(long);
    expect(Buffer.byteLength(`${opened.socketFolder}/.s.PGSQL.5432`)).toBeLessThanOrEqual(107);
    await opened.leave();
  });
});

/** Another instance, as a process; resolves when it has joined. */
async function instance(name: string): Promise<ChildProcess> {
  const { dataDir, systemFolder } = optionsOf(name);
  const script = `
    const { openDatabase } = await import(${JSON.stringify(new URL('../../src/persistence/open-database.ts', import.meta.url).href)});
    await openDatabase({ dataDir: ${JSON.stringify(dataDir)}, systemFolder: ${JSON.stringify(systemFolder)} });
    process.stdout.write('joined');
    setInterval(() => undefined, 60_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('exit', () => reject(new Error('the instance ended')));
  });
  return child;
}

describe('Your own database: roles are made, asked for or refused', () => {
  const admin = (user: string, database: string) => socketUrl(inject('databaseSocket'), user, database);
  const run = async (statement: string, database = 'postgres') => {
    const client = makeClient(admin('postgres', database), 'purser test');
    await client.connect();
    await client.query(statement);
    await client.end();
  };
  const opened = (url: string, ownerUrl?: string) => openDatabase({ url, ownerUrl, dataDir: join(root, 'unused') });

  beforeAll(async () => {
    await run(`create role plain login`);
    await run(`create role app_only login`);
    await run(`create database own_one`);
    await run(`create database own_two owner plain`);
    await run(`create database own_three`);
    await run(`create role bypasser login bypassrls`);
    await run(`create role through_another login in role bypasser`);
    // Pretends, for whoever logs in as this role, that the server is an older one.
    await run(`create role of_old_times login`);
    await run(`create database old_times owner of_old_times`);
    await run(`create function public.current_setting(text) returns text language sql as $$ select '140011' $$`, 'old_times');
    await run(`alter role of_old_times set search_path = public, pg_catalog`);
  });

  it('makes both roles where the URL may, and serves with the one that cannot bypass row-level security', async () => {
    const own = await opened(admin('postgres', 'own_one'));
    const [row] = await own.database.read({ kind: 'platform' }, (tx) =>
      sqlOf(tx).query<{ name: string }>(`select current_user::text as name`),
    );
    expect(row?.name).toBe('purser_app');
    await own.close();
  });

  it('asks for a second URL where roles cannot be made', async () => {
    await expect(opened(admin('plain', 'own_two'))).rejects.toThrow(/may not create roles: set PURSER_DATABASE_OWNER_URL/);
  });

  it('migrates with the second URL and serves with the first', async () => {
    const own = await opened(admin('app_only', 'own_two'), admin('plain', 'own_two'));
    expect(own.migrated.length).toBeGreaterThan(0);
    await own.close();
  });

  it.each([
    ['postgres', 'plain', /may bypass row-level security/],
    ['plain', 'plain', /name the same role/],
    ['plain', 'postgres', /owns the tables/],
    ['bypasser', 'plain', /may bypass row-level security/],
    ['through_another', 'plain', /may bypass row-level security/],
  ])('refuses to serve as %s with the owner %s', async (app, owner, sentence) => {
    await expect(opened(admin(app, 'own_two'), admin(owner, 'own_two'))).rejects.toThrow(sentence);
  });

  it('refuses a server that is too old', async () => {
    await expect(opened(admin('of_old_times', 'old_times'))).rejects.toThrow(
      /^The database server is PostgreSQL 14: Purser needs 15 or later\.$/,
    );
  });

  it('refuses two URLs that lead to two databases, and an owner who may make no tables', async () => {
    await expect(opened(admin('app_only', 'own_two'), admin('plain', 'own_three'))).rejects.toThrow(/lead to two databases/);
    await expect(opened(admin('app_only', 'own_three'), admin('plain', 'own_three'))).rejects.toThrow(
      /^The role that migrates may not make tables \(.*permission denied for schema public\)/,
    );
  });

  it.each([
    ['a server that is away', 'postgres://u:secret@127.0.0.1:9/x', /ECONNREFUSED/],
    ['a host that nobody knows', 'postgres://u:secret@no-such-host.invalid/x', /no-such-host\.invalid/],
    ['no connection string', 'postgres://u:secret@host:port/x', /PURSER_DATABASE_URL is no connection string/],
  ])('says what is wrong with %s, and no password', async (_what, url, sentence) => {
    const error = await opened(url).then(
      () => new Error('it was opened'),
      (reason: unknown) => reason as Error,
    );
    expect(error).toMatchObject({ name: 'DatabaseRefused', message: expect.stringMatching(sentence) as string });
    expect(String(error)).not.toContain('secret');
  });

  it('says which database or role the server does not know', async () => {
    await expect(opened(admin('plain', 'nothing'))).rejects.toThrow(
      /^The database of PURSER_DATABASE_URL cannot be reached: database "nothing" does not exist\.$/,
    );
    await expect(opened(admin('app_only', 'own_two'), admin('nobody_here', 'own_two'))).rejects.toThrow(
      /^The database of PURSER_DATABASE_OWNER_URL cannot be reached: role "nobody_here" does not exist\.$/,
    );
  });
});
