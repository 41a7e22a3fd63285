// `npm run cluster [NODES]`: a cluster to look at and to try things on. It stays until Ctrl-C, or until the shell is left that it gives.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { symlinkSync } from 'node:fs';
import { startCluster } from './cluster.ts';
import { log } from './machine.ts';
import { kubeProgram } from './programs.ts';

const DEFAULT_NODES = 2;

async function main(): Promise<void> {
  const nodes = Number(process.argv[2] ?? DEFAULT_NODES);
  // The handlers stay: who asks twice does not interrupt what is being taken down.
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
  const cluster = await startCluster({ nodes });
  try {
    const folder = dirname(cluster.kubeconfig);
    const kubectl = join(folder, 'kubectl');
    symlinkSync(await kubeProgram(), kubectl);
    log(`up: ${nodes} ${cluster.realNodes ? 'real' : 'pretended'} nodes; in another terminal:\n
  export KUBECONFIG=${cluster.kubeconfig}
  ${kubectl} get nodes\n`);
    if (process.stdin.isTTY) await Promise.race([ended, shell(cluster.kubeconfig, folder)]);
    else await ended;
  } finally {
    log('taking it down …');
    await cluster.stop();
  }
}

/** With KUBECONFIG set and kubectl at hand. */
async function shell(kubeconfig: string, folder: string): Promise<void> {
  log('this is a shell on the cluster: try "kubectl get pods -A"; leaving it takes the cluster down');
  const env = { ...process.env, KUBECONFIG: kubeconfig, PATH: `${folder}:${process.env['PATH'] ?? ''}` };
  await once(spawn(process.env['SHELL'] ?? '/bin/sh', { stdio: 'inherit', env }), 'exit');
}

await main();
