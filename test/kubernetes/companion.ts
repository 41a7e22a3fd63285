// `purser operator` and `purser extender` as processes beside a cluster, as their pods run them.
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { builtEntry, builtNode } from '../support/build.ts';
import type { Installation } from '../support/installation.ts';

/** Signed in to the API as its first administrator, and to the cluster by the kubeconfig. */
export const startCompanion = (
  name: 'operator' | 'extender',
  purser: Pick<Installation, 'apiUrl' | 'dataDir'>,
  { kubeconfig, settings = {} }: { readonly kubeconfig: string; readonly settings?: NodeJS.ProcessEnv },
): ChildProcess =>
  spawn(builtNode, [builtEntry, name], {
    env: {
      PATH: process.env.PATH,
      PURSER_API_URL: purser.apiUrl,
      PURSER_TOKEN_FILE: join(purser.dataDir, 'admin-token'),
      PURSER_KUBECONFIG: kubeconfig,
      PURSER_CLUSTER_NAME: 'east',
      PURSER_LOG_LEVEL: 'warn',
      ...settings,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });

export const ended = (child: ChildProcess): Promise<unknown> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', resolve));
