import { randomBytes } from 'node:crypto';
import { chmod, chown, link, mkdir, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withFileLock } from './file-lock.ts';
import { EmbeddedDatabaseError, bundledBinaries } from './postgres-binaries.ts';
import { initialise, isAnswering, majorOf, pidOf, start, stop, type PostgresServerOptions } from './postgres-server.ts';
import { identityOf, isSameProcess, type ProcessIdentity } from './process-identity.ts';

/** Where PostgreSQL's files are when root runs Purser: outside any home or clone, which its user could not enter. */
const SYSTEM_FOLDER = '/var/lib/purser';
/** In the data folder: the name of its place below `SYSTEM_FOLDER`. */
const PLACE_FILE = 'database-place';
/** Longest path of a unix socket on Linux (`sun_path` without its NUL); the socket's own name is `.s.PGSQL.5432`. */
const MAX_SOCKET_PATH = 107;
const SOCKET_NAME = '.s.PGSQL.5432';
/** How often an instance looks whether the server still runs. Higher lengthens an outage, lower reads its pid file more often. */
const WATCH_EVERY_MS = 1_000;
/** Users of embedded servers, one per data folder, of nobody else on the machine. The local runtime's users are others. */
const FIRST_UID = 60_800;
const UIDS = 199;

export interface EmbeddedOptions {
  /** Absolute. As an ordinary user the server's files are in it. */
  readonly dataDir: string;
  /** As root; for tests. */
  readonly systemFolder?: string;
  readonly settings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  readonly socketFolder: string;
  /** Ends this instance's use; the last one to leave stops the server. */
  leave(): Promise<void>;
}

/**
 * Starts the embedded server for a data folder, or joins it if it runs already. Throws `EmbeddedDatabaseError` with one sentence when
 * the data belongs to another major version, or the server does not start.
 */
export async function joinEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const place = await placeOf(options);
  const self = await identityOf(process.pid);
  const ticket = join(place.folder, 'instances', `${process.pid}-${self.startedAt}-${randomBytes(4).toString('hex')}`);
  await withFileLock(join(place.folder, 'lock'), async () => {
    await writeFile(ticket, JSON.stringify(self), { mode: 0o600 });
    try {
      await ensureRunning(place);
    } catch (error) {
      await rm(ticket, { force: true });
      throw error;
    }
  });
  const unwatch = watch(place);
  return {
    socketFolder: place.socketFolder,
    leave: async () => {
      await unwatch();
      await leave(place, ticket);
    },
  };
}

/** Starts the server again when it dies while this instance uses it; several instances do it once. Returns how to stop watching. */
function watch(place: PostgresServerOptions): () => Promise<void> {
  let looking: Promise<void> | null = null;
  const timer = setInterval(() => {
    looking ??= revive(place).finally(() => (looking = null));
  }, WATCH_EVERY_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await looking;
  };
}

async function revive(place: PostgresServerOptions): Promise<void> {
  if ((await pidOf(place.folder)) !== null) return;
  // What fails now, for example because sessions of the dead server still hold its memory, is tried again at the next look.
  await withFileLock(join(place.folder, 'lock'), () => ensureRunning(place)).catch(() => undefined);
}

/** Brings the server up; whoever holds the lock is alone. */
async function ensureRunning(place: PostgresServerOptions): Promise<void> {
  const major = await majorOf(join(place.folder, 'data'));
  if (major !== null && major !== place.binaries.major) {
    throw new EmbeddedDatabaseError(
      `The embedded database in ${place.folder} was written by PostgreSQL ${major}, and this version of Purser brings ${place.binaries.major}: ` +
        `dump it with the older version and restore it, or set PURSER_DATABASE_URL to a server that holds it.`,
    );
  }
  if ((await pidOf(place.folder)) !== null && (await isAnswering(place.socketFolder))) return;
  await initialise(place);
  await start(place);
}

async function leave(place: PostgresServerOptions, ticket: string): Promise<void> {
  await withFileLock(join(place.folder, 'lock'), async () => {
    await rm(ticket, { force: true });
    if ((await liveInstances(place.folder)) === 0) await stop(place.folder);
  });
}

/** Instances that still run; tickets of those that were killed are removed on the way. */
async function liveInstances(folder: string): Promise<number> {
  let live = 0;
  for (const name of await readdir(join(folder, 'instances'))) {
    const path = join(folder, 'instances', name);
    if (await isLive(path)) live += 1;
    else await rm(path, { force: true });
  }
  return live;
}

async function isLive(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => '');
  try {
    return await isSameProcess(JSON.parse(text) as ProcessIdentity);
  } catch {
    return false;
  }
}

/** Folder, user and programs for a data folder; makes what is missing. */
async function placeOf(options: EmbeddedOptions): Promise<PostgresServerOptions> {
  const root = process.getuid?.() === 0;
  const name = await placeName(options.dataDir);
  const home = root ? (options.systemFolder ?? SYSTEM_FOLDER) : join(options.dataDir, 'postgres');
  const folder = root ? join(home, name) : home;
  const uid = root ? FIRST_UID + (Number.parseInt(name.slice(0, 8), 16) % UIDS) : null;
  await mkdir(join(folder, 'instances'), { recursive: true, mode: 0o755 });
  if (root) await refuseCopy(options.dataDir, folder, name);
  if (root) await chmod(home, 0o755);
  await chmod(folder, root ? 0o711 : 0o700);
  await chmod(join(folder, 'instances'), 0o700);
  const binaries = await bundledBinaries(home);
  return { binaries, folder, uid, socketFolder: await socketFolderOf(folder, name, uid), settings: options.settings ?? {} };
}

/**
 * The name of what belongs to a data folder but lies outside it, kept inside: a folder that was moved finds its database again, and one
 * that was removed and made anew starts with an empty one. Instances that start at once agree on one name.
 */
async function placeName(dataDir: string): Promise<string> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, PLACE_FILE);
  const proposal = `${file}.${process.pid}-${randomBytes(4).toString('hex')}`;
  await writeFile(proposal, randomBytes(8).toString('hex'), { mode: 0o600 });
  await link(proposal, file).catch(unlessThere);
  await rm(proposal);
  return (await readFile(file, 'utf8')).trim();
}

function unlessThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

/** Two data folders never share one database: the second is a copy of the first. */
async function refuseCopy(dataDir: string, folder: string, name: string): Promise<void> {
  const here = await realpath(dataDir);
  const note = join(folder, 'data-dir');
  const other = await readFile(note, 'utf8').catch(() => here);
  const othersName = other === here ? null : await readFile(join(other, PLACE_FILE), 'utf8').catch(() => null);
  if (othersName === name) {
    throw new EmbeddedDatabaseError(
      `${here} is a copy of ${other}, whose database it would share: set PURSER_DATA_DIR to the original, or remove ` +
        `${join(here, PLACE_FILE)} to start with an empty database.`,
    );
  }
  await writeFile(note, here, { mode: 0o600 });
}

/** `<folder>/run`, or a short folder of our own when that would be longer than a socket's path may be. */
async function socketFolderOf(folder: string, name: string, uid: number | null): Promise<string> {
  const near = join(folder, 'run');
  const fits = Buffer.byteLength(join(near, SOCKET_NAME)) <= MAX_SOCKET_PATH;
  const path = fits ? near : join(tmpdir(), `purser-database-${name}`);
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    if (uid !== null) await chown(path, uid, uid);
    await chmod(path, 0o700);
  } catch (error) {
    // Anybody may make a folder in the shared one for temporary files, and be there first.
    throw new EmbeddedDatabaseError(`The database's socket folder ${path} cannot be used: ${(error as Error).message}.`);
  }
  return path;
}
