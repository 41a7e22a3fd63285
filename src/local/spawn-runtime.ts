import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterUnreachable } from '../deployments/cluster.port.ts';
import { LocalCluster } from './local-cluster.adapter.ts';
import { runtimePaths } from './runtime-folder.ts';

/** How long a runtime may take to answer. Higher: a broken one is noticed late; lower: a slow disk fails the start. */
const START_TIMEOUT_MS = 20_000;
/** Higher: a start is felt; lower: more calls while it starts. */
const POLL_MS = 25;

export interface SpawnRuntimeOptions {
  readonly dataDir: string;
  readonly node: string;
  /** The built `purser.js`. */
  readonly entry: string;
  /** What the runtime reads its settings from. */
  readonly env: NodeJS.ProcessEnv;
}

/** The machine's runtime: the one that answers, else a new one, detached, so that it outlives this process. Safe when several call it. */
export async function ensureRuntime(options: SpawnRuntimeOptions): Promise<LocalCluster> {
  const paths = runtimePaths(options.dataDir, process.getuid?.() === 0);
  const cluster = new LocalCluster({ socket: paths.socket });
  if (await answers(cluster)) return cluster;
  mkdirSync(paths.folder, { recursive: true, mode: 0o700 });
  let running = spawnRuntime(options, paths.folder);
  for (let waited = 0; waited < START_TIMEOUT_MS; waited += POLL_MS) {
    if ((await answers(cluster)) && (await isSettled(cluster, running))) return cluster;
    await sleep(POLL_MS);
    // It gives way to one that still holds the folder; if that one was about to end, somebody must follow it.
    if (running.ended && !(await answers(cluster))) running = spawnRuntime(options, paths.folder);
  }
  throw new ClusterUnreachable(`The local runtime did not start; see ${join(paths.folder, 'runtime.log')}.`);
}

/** True once no other one is on its way: a runtime that starts late would else follow one that has been stopped meanwhile. */
const isSettled = async (cluster: LocalCluster, running: Spawned): Promise<boolean> =>
  running.ended ||
  cluster.info().then(
    ({ pid }) => pid === running.pid,
    () => false,
  );

interface Spawned {
  readonly pid: number | undefined;
  ended: boolean;
}

/** Its output goes to a file that is opened here, so that its last words are kept even if nobody is left to read them. */
function spawnRuntime(options: SpawnRuntimeOptions, folder: string): Spawned {
  const log = openSync(join(folder, 'runtime.log'), 'a', 0o600);
  const env = { ...options.env, PURSER_DATA_DIR: options.dataDir };
  const child = spawn(options.node, ['--enable-source-maps', options.entry, 'runtime'], {
    detached: true,
    env,
    cwd: '/',
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const state = { pid: child.pid, ended: false };
  const end = () => {
    state.ended = true;
  };
  child.once('error', end);
  child.once('exit', end);
  child.unref();
  return state;
}

/** The same, and a runtime that cannot be reached any more gets a successor, which adopts its replicas. */
export async function keepRuntime(options: SpawnRuntimeOptions): Promise<LocalCluster> {
  let starting: Promise<unknown> | null = null;
  const revive = () => {
    starting ??= ensureRuntime(options)
      // Whoever called is told by its own call; the next one that fails tries again.
      .catch(() => undefined)
      .finally(() => (starting = null));
  };
  await ensureRuntime(options);
  return new LocalCluster({ socket: runtimePaths(options.dataDir, process.getuid?.() === 0).socket, onUnreachable: revive });
}

/** Ends the machine's runtime and its replicas; nothing if none runs. */
export async function stopRuntime(dataDir: string): Promise<void> {
  const cluster = new LocalCluster({ socket: runtimePaths(dataDir, process.getuid?.() === 0).socket });
  if (!(await answers(cluster))) return;
  await cluster.shutdown({ andReplicas: true });
  while (await answers(cluster)) await sleep(POLL_MS);
}

const answers = (cluster: LocalCluster): Promise<boolean> =>
  cluster.info().then(
    () => true,
    () => false,
  );
