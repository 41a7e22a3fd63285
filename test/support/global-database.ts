import type { TestProject } from 'vitest/node';
import { startTestServer } from './test-server.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Folder of the unix socket of the run's one database server. */
    databaseSocket: string;
  }
}

/** Vitest leaves `env` out where a project sets none. */
function binOf(project: TestProject): string | undefined {
  const env = { ...process.env, ...project.config.env };
  return env['PURSER_TEST_POSTGRES_BIN'];
}

/**
 * Vitest's global set-up: one server per run, whatever the number of files. `PURSER_TEST_POSTGRES_BIN` names the programs of another
 * PostgreSQL, for example Debian's 15.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startTestServer(binOf(project));
  project.provide('databaseSocket', server.socketFolder);
  return () => server.stop();
}
