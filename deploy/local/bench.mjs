// `npm run bench [NAME…]`: install, build, then print the figures.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { nodeBinary, prepare, root } from './prepare.mjs';

await prepare();
const { status } = spawnSync(nodeBinary(), [join(root, 'dist', 'test', 'bench', 'run.js'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
