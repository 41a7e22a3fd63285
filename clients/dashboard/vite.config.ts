import { resolve } from 'node:path';
import { defineConfig } from 'vite';

const root = import.meta.dirname;

/** Two pages, everything bundled: nothing is loaded from elsewhere at run time. */
export default defineConfig({
  root,
  base: '/',
  build: {
    outDir: resolve(root, '../../dist/dashboard'),
    emptyOutDir: true,
    sourcemap: false,
    chunkSizeWarningLimit: 8_000,
    rolldownOptions: {
      // Libraries say "use client" for server rendering, which there is none of here.
      onLog: (level, log, handler) => {
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') handler(level, log);
      },
      input: { index: resolve(root, 'index.html'), graphiql: resolve(root, 'graphiql.html') },
    },
  },
});
