import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { makeClient } from '../../src/persistence/connection.ts';
import { Database } from '../../src/persistence/database.ts';
import { socketUrl } from '../../src/persistence/postgres-server.ts';
import { APP_ROLE, OWNER_ROLE } from '../../src/persistence/roles.ts';
import { TEMPLATE } from './test-server.ts';
import './global-database.ts';

/** A fresh, migrated database for one test file. */
export interface TestDatabase {
  /** As the app role, with row-level security. */
  readonly database: Database;
  /** As the owner of the tables: for set-up that the app role may not do. Row-level security holds for it too. */
  readonly ownerUrl: string;
  readonly appUrl: string;
  /** As the server's superuser: sees everything; for looking, and for breaking things. */
  readonly superUrl: string;
  close(): Promise<void>;
}

/** Clones the migrated template; `close` drops the clone. The server is the run's, or the given one. */
export async function openTestDatabase({
  socket = inject('databaseSocket'),
  ...options
}: { readonly maxConnections?: number; readonly socket?: string } = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await asSuperuser(socket, `create database ${name} template ${TEMPLATE} owner ${OWNER_ROLE}`);
  const appUrl = socketUrl(socket, APP_ROLE, name);
  const database = await Database.connect({ url: appUrl, ...options });
  return {
    database,
    ownerUrl: socketUrl(socket, OWNER_ROLE, name),
    appUrl,
    superUrl: socketUrl(socket, 'postgres', name),
    close: async () => {
      await database.close();
      await asSuperuser(socket, `drop database ${name} with (force)`);
    },
  };
}

async function asSuperuser(socket: string, statement: string): Promise<void> {
  const admin = makeClient(socketUrl(socket, 'postgres', 'postgres'), 'purser test');
  await admin.connect();
  try {
    await admin.query(statement);
  } finally {
    await admin.end();
  }
}
