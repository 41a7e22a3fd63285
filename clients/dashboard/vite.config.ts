import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const root = import.meta.dirname;

/** Puts a compressed copy beside each text file: the editor is megabytes, and the server compresses nothing while it answers. */
const compressed: Plugin = {
  name: 'compressed-copies',
  writeBundle({ dir = '' }, bundle) {
    for (const name of Object.keys(bundle).filter((file) => /\.(js|css)$/.test(file))) {
      const file = resolve(dir, name);
      writeFileSync(`${file}.gz`, gzipSync(readFileSync(file)));
    }
  },
};

/** Two pages, everything bundled: nothing is loaded from elsewhere at run time. */
export default defineConfig({
  root,
  base: '/',
  plugins: [compressed],
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
