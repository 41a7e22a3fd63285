import { defineConfig } from 'vitest/config';

const shared = {
  server: { deps: { inline: ['type-graphql'] } },
  setupFiles: ['reflect-metadata'],
};
// `graphql` must be one realm (its ESM and CJS builds refuse each other's objects).
const resolve = { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] };

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
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      { resolve, test: { ...shared, name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 300_000 } },
    ],
  },
});
