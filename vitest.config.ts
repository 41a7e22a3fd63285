import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

const shared = {
  server: { deps: { inline: ['type-graphql'] } },
  setupFiles: ['reflect-metadata'],
  // ONNX Runtime calls nobody.
  env: { ORT_DISABLE_TELEMETRY: '1' },
};
// `graphql` must be one realm (its ESM and CJS builds refuse each other's objects).
const resolve = { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] };

// Storage once more on the oldest server that is supported, where Debian's package is installed; else one test says that it is not.
const DEBIAN = '/usr/lib/postgresql/15/bin';
const STORAGE = ['commands', 'database', 'event-log', 'lease', 'row-level-security', 'tables'].map(
  (name) => `test/contracts/${name}.test.ts`,
);
const postgres15 = existsSync(`${DEBIAN}/postgres`)
  ? { bin: DEBIAN, include: STORAGE }
  : { bin: '', include: ['test/support/postgres-15-absent.test.ts'] };

export default defineConfig({
  resolve,
  test: {
    projects: [
      { resolve, test: { ...shared, name: 'unit', include: ['test/{unit,style,simulation}/**/*.test.ts'] } },
      {
        resolve,
        test: {
          ...shared,
          name: 'system',
          include: ['test/{contracts,reconcile,api,scenarios}/**/*.test.ts'],
          globalSetup: ['test/support/global-database.ts'],
          // Most of a test's time is waiting: two files at once even where there are only two cores.
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve,
        test: {
          ...shared,
          name: 'postgres-15',
          include: postgres15.include,
          globalSetup: ['test/support/global-database.ts'],
          env: { PURSER_TEST_POSTGRES_BIN: postgres15.bin },
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve,
        test: {
          ...shared,
          name: 'kubernetes',
          include: ['test/kubernetes/**/*.test.ts'],
          globalSetup: ['test/kubernetes/cluster/global-setup.ts'],
          // One cluster on a few cores: files take turns, so that what they wait for comes in its usual time.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      {
        resolve,
        test: { ...shared, name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 300_000 },
      },
    ],
  },
});
