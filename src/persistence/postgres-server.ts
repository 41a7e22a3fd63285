import { execFile, spawn } from 'node:child_process';
import { chown, mkdir, open, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeClient } from './connection.ts';
import { EmbeddedDatabaseError, type PostgresBinaries } from './postgres-binaries.ts';
import { isAlive } from './process-identity.ts';

const run = promisify(execFile);

/** How long a start may take; recovery after a crash included. Higher hides a broken folder, lower gives up during recovery. */
const START_TIMEOUT_MS = 60_000;
/** How long a fast shutdown may take before the server is cut off. Higher delays the end, lower forces recovery at the next start. */
const STOP_TIMEOUT_MS = 20_000;
/** How often it is looked whether the server answers or has ended. Higher: a start is felt; lower: more connections for nothing. */
const POLL_MS = 25;
/** `initdb` looks its user up in the user database, so it runs as one that exists everywhere; the server itself need not. */
const NOBODY = 65_534;
/** The largest number that the pid file can hold: above every system's largest pid. */
const NOBODYS_PID = '2147483647';

export interface PostgresServerOptions {
  readonly binaries: PostgresBinaries;
  /** Holds `data/`, `log` and nothing else of anybody. */
  readonly folder: string;
  /** Folder of the unix socket; its owner is the server's user and its mode 0700. */
  readonly socketFolder: string;
  /** As root: the user that the server runs as. Null: as this process. */
  readonly uid: number | null;
  /** Settings by name, on top of ours. */
  readonly settings?: Readonly<Record<string, string>>;
}

const SETTINGS = {
  listen_addresses: '',
  max_connections: '120',
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  log_min_messages: 'warning',
  log_line_prefix: '%m [%p] ',
  timezone: 'UTC',
} as const;

/** A connection string over the unix socket. */
export const socketUrl = (socketFolder: string, user: string, database: string): string =>
  `postgresql://${user}@/${database}?host=${encodeURIComponent(socketFolder)}`;

/** Makes an empty cluster in `folder/data`, owned by the server's user; superuser `postgres`. Does nothing if there is one. */
export async function initialise(options: PostgresServerOptions): Promise<void> {
  const data = join(options.folder, 'data');
  if ((await majorOf(data)) !== null) return;
  // What an interrupted initdb left has no PG_VERSION or is unusable; nothing was ever stored in it.
  const partial = `${data}.new`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { mode: 0o700 });
  if (options.uid !== null) await chown(partial, NOBODY, NOBODY);
  // Names in byte order everywhere, whatever the machine's language.
  const args = ['-D', partial, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-instructions'];
  const identity = options.uid === null ? {} : { uid: NOBODY, gid: NOBODY };
  await run(options.binaries.initdb, args, { ...identity, env: { PATH: '/usr/bin:/bin' }, cwd: '/' }).catch((error: unknown) => {
    throw new EmbeddedDatabaseError(`The embedded database could not be created in ${data}: ${messageOf(error)}`);
  });
  if (options.uid !== null) await chownAll(partial, options.uid);
  await rename(partial, data);
}

/** The major version that a data folder belongs to; null if there is none. */
export async function majorOf(data: string): Promise<number | null> {
  const text = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => null);
  return text === null ? null : Number.parseInt(text, 10);
}

/** Starts the server, detached, so that it outlives this process; resolves with its pid once it answers. */
export async function start(options: PostgresServerOptions): Promise<number> {
  const { folder, uid } = options;
  await disownDead(folder);
  await mkdir(options.socketFolder, { recursive: true, mode: 0o700 });
  if (uid !== null) await chown(options.socketFolder, uid, uid);
  const log = await open(join(folder, 'log'), 'a', 0o600);
  const settings = Object.entries({ ...SETTINGS, ...options.settings, unix_socket_directories: options.socketFolder });
  const child = spawn(
    options.binaries.postgres,
    ['-D', join(folder, 'data'), ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    {
      detached: true,
      cwd: '/',
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: '/usr/bin:/bin', LANG: 'C' },
      ...(uid === null ? {} : { uid, gid: uid }),
    },
  );
  const gone = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? code}`));
  });
  child.unref();
  await log.close();
  const decided = new AbortController();
  const answering = answers(options.socketFolder, decided.signal).then((ok) => (ok ? null : 'it does not answer'));
  const failed = await Promise.race([gone, answering]);
  decided.abort();
  if (failed !== null)
    throw new EmbeddedDatabaseError(`The embedded database does not start (${failed}): ${await lastLine(join(folder, 'log'))}`);
  return child.pid ?? 0;
}

/**
 * Names nobody in the pid file of a server that has ended: PostgreSQL takes a killed one that nobody collects (a zombie), or whoever has
 * its pid now, for the owner of the data. The rest of the file stays, by which it waits for sessions that still hold the old memory.
 */
async function disownDead(folder: string): Promise<void> {
  const path = join(folder, 'data', 'postmaster.pid');
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null || (await pidOf(folder)) !== null) return;
  await writeFile(path, [NOBODYS_PID, ...text.split('\n').slice(1)].join('\n'));
}

/** True once the server answers on its socket; false after the limit, or as soon as nobody waits for it. */
async function answers(socketFolder: string, signal: AbortSignal): Promise<boolean> {
  for (let waited = 0; waited < START_TIMEOUT_MS && !signal.aborted; waited += POLL_MS) {
    if (await isAnswering(socketFolder)) return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** True if a server answers on the socket in this folder. */
export async function isAnswering(socketFolder: string): Promise<boolean> {
  const client = makeClient(socketUrl(socketFolder, 'postgres', 'postgres'), 'purser probe');
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The pid of the running server, from its own pid file; null if none runs. Another process that has the pid now is not it. */
export async function pidOf(folder: string): Promise<number | null> {
  const data = join(folder, 'data');
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => null);
  const pid = text === null ? Number.NaN : Number.parseInt(text, 10);
  return Number.isInteger(pid) && isAlive(pid) && (await serves(pid, data)) ? pid : null;
}

async function serves(pid: number, data: string): Promise<boolean> {
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => null);
  return words === null || words.split('\0').includes(data);
}

/** Shuts the server down: sessions are ended, everything is written; after the limit it is cut off and recovers at its next start. */
export async function stop(folder: string): Promise<void> {
  const pid = await pidOf(folder);
  if (pid === null) return;
  process.kill(pid, 'SIGINT');
  for (let waited = 0; waited < STOP_TIMEOUT_MS; waited += POLL_MS) {
    if (!isAlive(pid)) return;
    await sleep(POLL_MS);
  }
  process.kill(pid, 'SIGQUIT');
}

async function chownAll(folder: string, uid: number): Promise<void> {
  await chown(folder, uid, uid);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    await chown(join(entry.parentPath, entry.name), uid, uid);
}

async function lastLine(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').at(-1) ?? '';
}

const messageOf = (error: unknown): string => {
  const told = error as { stderr?: string; message?: string };
  return (told.stderr ?? told.message ?? 'unknown').trim().split('\n').at(-1) ?? 'unknown';
};
