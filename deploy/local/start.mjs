// `npm start`: install, build, then hand over to the supervisor and pass signals on to it.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { nodeBinary, prepare, root } from './prepare.mjs';

await prepare();
const child = spawn(nodeBinary(), [join(root, 'dist', 'src', 'main', 'purser.js'), 'up', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
