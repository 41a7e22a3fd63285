// `npm run cluster [NODES]`: install, then a Kubernetes cluster on this machine until Ctrl-C; docs/development.md says what to do with it.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { nodeBinary, prepare, root } from './prepare.mjs';

await prepare();
const program = join(root, 'test', 'kubernetes', 'cluster', 'main.ts');
const child = spawn(nodeBinary(), [program, ...process.argv.slice(2)], { stdio: 'inherit' });
// Ctrl-C reaches both; only the cluster takes things down, and this waits for it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.once('exit', (code) => (process.exitCode = code ?? 1));
