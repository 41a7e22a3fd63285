import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeClient } from '../../src/persistence/connection.ts';
import { migrate } from '../../src/persistence/migrate.ts';
import { binariesIn, bundledBinaries, type PostgresBinaries } from '../../src/persistence/postgres-binaries.ts';
import { initialise, socketUrl, start, stop } from '../../src/persistence/postgres-server.ts';
import { APP_ROLE, OWNER_ROLE, ensureRoles } from '../../src/persistence/roles.ts';

/** A database server for tests: without fsync, gone afterwards. */
export interface TestServer {
  readonly socketFolder: string;
  readonly major: number;
  url(user: string, database: string): string;
  stop(): Promise<void>;
}

export const TEMPLATE = 'purser_template';
const UNPRIVILEGED = 60_799;

/** Starts a server of its own, with a migrated template database; `bin` names other programs than the bundled ones. */
export async function startTestServer(bin?: string): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'purser-pg-'));
  await chmod(folder, 0o755);
  const uid = process.getuid?.() === 0 ? UNPRIVILEGED : null;
  const binaries = await binariesFor(bin, uid);
  const socketFolder = join(folder, 'run');
  const server = {
    binaries,
    folder,
    socketFolder,
    uid,
    settings: { fsync: 'off', full_page_writes: 'off', max_connections: '300' },
  };
  await initialise(server);
  await start(server);
  await makeTemplate(socketFolder);
  return {
    socketFolder,
    major: binaries.major,
    url: (user, database) => socketUrl(socketFolder, user, database),
    stop: async () => {
      await stop(folder);
      await rm(folder, { recursive: true, force: true });
    },
  };
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
