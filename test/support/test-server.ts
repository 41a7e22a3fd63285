import { appendFile, chmod, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeClient } from '../../src/persistence/connection.ts';
import { migrate } from '../../src/persistence/migrate.ts';
import { binariesIn, bundledBinaries, type PostgresBinaries } from '../../src/persistence/postgres-binaries.ts';
import { initialise, socketUrl, start, stop } from '../../src/persistence/postgres-server.ts';
import { identityOf, isSameProcess, type ProcessIdentity } from '../../src/persistence/process-identity.ts';
import { APP_ROLE, OWNER_ROLE, ensureRoles } from '../../src/persistence/roles.ts';

/** A database server for tests: without fsync, gone afterwards. */
export interface TestServer {
  readonly socketFolder: string;
  readonly major: number;
  url(user: string, database: string): string;
  stop(): Promise<void>;
}

export const TEMPLATE = 'purser_template';
const PREFIX = 'purser-pg-';
const OWNER_FILE = 'owner.json';
const UNPRIVILEGED = 60_799;

/**
 * Starts a server of its own, with a migrated template database; `bin` names other programs than the bundled ones. At `address` it is
 * reached from elsewhere too, by roles with a password.
 */
export async function startTestServer(bin?: string, address?: string): Promise<TestServer> {
  await removeOrphans();
  const folder = await mkdtemp(join(tmpdir(), PREFIX));
  await chmod(folder, 0o755);
  await writeFile(join(folder, OWNER_FILE), JSON.stringify(await identityOf(process.pid)));
  const uid = process.getuid?.() === 0 ? UNPRIVILEGED : null;
  const binaries = await binariesFor(bin, uid);
  const socketFolder = join(folder, 'run');
  const server = {
    binaries,
    folder,
    socketFolder,
    uid,
    settings: {
      ...{ fsync: 'off', full_page_writes: 'off', max_connections: '300' },
      ...(address === undefined ? {} : { listen_addresses: address }),
    },
  };
  const end = async (): Promise<void> => {
    await stop(folder);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await initialise(server);
    if (address !== undefined) await appendFile(join(folder, 'data', 'pg_hba.conf'), 'host all all all scram-sha-256\n');
    await start(server);
    await makeTemplate(socketFolder);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    socketFolder,
    major: binaries.major,
    url: (user, database) => socketUrl(socketFolder, user, database),
    stop: end,
  };
}

/** Ends the servers of test runs that were killed; their folders say whose they were. */
async function removeOrphans(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const folder = join(tmpdir(), name);
    const text = name.startsWith(PREFIX) ? await readFile(join(folder, OWNER_FILE), 'utf8').catch(() => null) : null;
    if (text === null || (await isSameProcess(JSON.parse(text) as ProcessIdentity))) continue;
    await stop(folder).catch(() => undefined);
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

const binariesFor = (bin: string | undefined, uid: number | null): Promise<PostgresBinaries> =>
  bin
    ? binariesIn(bin)
    : bundledBinaries(uid === null ? join(tmpdir(), `purser-${String(process.getuid?.())}`) : '/var/lib/purser');

async function makeTemplate(socketFolder: string): Promise<void> {
  const admin = makeClient(socketUrl(socketFolder, 'postgres', 'postgres'), 'purser test');
  await admin.connect();
  await ensureRoles(admin);
  await admin.query(`create database ${TEMPLATE} owner ${OWNER_ROLE}`);
  await admin.end();
  const ownerUrl = socketUrl(socketFolder, OWNER_ROLE, TEMPLATE);
  await migrate(ownerUrl, APP_ROLE);
}
