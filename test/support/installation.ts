import { spawn, type ChildProcess } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runtimePaths } from '../../src/local/runtime-folder.ts';
import { builtEntry, builtNode } from './build.ts';
import { eventually } from './eventually.ts';

const START_TIMEOUT_MS = 120_000;

/** A whole Purser in processes of its own, as `npm start` runs it, on free ports and a data folder of its own. */
export interface Installation {
  readonly apiUrl: string;
  readonly routerUrl: string;
  readonly dataDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly adminToken: string;
  /** What the start printed. */
  readonly printed: string;
  /** Milliseconds from spawn to "Purser is up". */
  readonly startedInMs: number;
  /** Of the supervisor. */
  readonly pid: number;
  /** Process id of `purser <name>` under this supervisor. */
  pidOf(name: 'serve' | 'router'): number;
  /** SIGINT, as Ctrl-C does; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** Stops it and removes its data. */
  remove(): Promise<void>;
}

export interface InstallationOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Reuse the data and ports of an earlier one. */
  readonly like?: Installation;
  /** As root only: run as this user. */
  readonly uid?: number;
}

export async function startInstallation(options: InstallationOptions = {}): Promise<Installation> {
  const { dataDir, env } = options.like ?? (await freshPlace(options.env));
  if (options.uid !== undefined) chownSync(dataDir, options.uid, options.uid);
  const user = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid };
  const started = performance.now();
  const child = spawn(builtNode, [builtEntry, 'up'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...user,
  });
  const pid = child.pid ?? 0;
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const printed = await untilPrinted(child, exited);
  const stop = () => {
    child.kill('SIGINT');
    return exited;
  };
  return {
    apiUrl: `http://127.0.0.1:${env.PURSER_PORT ?? ''}`,
    routerUrl: `http://127.0.0.1:${env.PURSER_ROUTER_PORT ?? ''}`,
    dataDir,
    env,
    adminToken: readFileSync(join(dataDir, 'admin-token'), 'utf8').trim(),
    printed,
    startedInMs: performance.now() - started,
    pid,
    pidOf: (name) => childOf(pid, name),
    stop,
    remove: async () => {
      await stop();
      removeData(dataDir);
    },
  };
}

/** One control plane more on an installation's database, as a second instance for when the first is away. */
export interface SecondControlPlane {
  /** The same installation, asked through this one's API. */
  readonly installation: Installation;
  /** SIGTERM; resolves when it has ended. */
  stop(): Promise<void>;
}

export async function startSecondControlPlane(first: Installation): Promise<SecondControlPlane> {
  const env = { ...first.env, ...(await freePorts()) };
  const child = spawn(builtNode, [builtEntry, 'serve'], { env, stdio: 'ignore' });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
  };
  const apiUrl = `http://127.0.0.1:${env.PURSER_PORT ?? ''}`;
  try {
    await eventually(async () => (await fetch(`${apiUrl}/readyz`)).ok, 60_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { installation: { ...first, env, apiUrl }, stop };
}

async function freshPlace(settings: NodeJS.ProcessEnv = {}): Promise<Pick<Installation, 'dataDir' | 'env'>> {
  const dataDir = mkdtempSync(join(tmpdir(), "purser's e2e-"));
  return { dataDir, env: { ...process.env, ...(await freePorts()), PURSER_DATA_DIR: dataDir, ...settings } };
}

/** Where the embedded database of an installation has its files and its socket. */
export function databaseFolder(dataDir: string, asRoot = process.getuid?.() === 0): string {
  return asRoot ? join('/var/lib/purser', readFileSync(join(dataDir, 'database-place'), 'utf8')) : join(dataDir, 'postgres');
}

/** The data folder of something that runs no more, and what belongs to it elsewhere. */
export function removeData(dataDir: string): void {
  for (const folder of [dataDir, ...systemFolders(dataDir)]) rmSync(folder, { recursive: true, force: true });
}

/** What root's installations keep outside their data folder; one that was ended early has no database. */
function systemFolders(dataDir: string): readonly string[] {
  if (process.getuid?.() !== 0 || !existsSync(join(dataDir, 'database-place'))) return [];
  return [databaseFolder(dataDir), runtimePaths(dataDir, true).homes];
}

function untilPrinted(child: ChildProcess, exited: Promise<number | null>): Promise<string> {
  let text = '';
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not up in time:\n${text}`)), START_TIMEOUT_MS);
    const read = (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('Ctrl-C stops everything.')) {
        clearTimeout(timer);
        resolve(text);
      }
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    void exited.then((code) => {
      clearTimeout(timer);
      reject(new Error(`purser up stopped with status ${code}:\n${text}`));
    });
  });
}

/** The pid of a direct child whose command line ends with the process's name. */
function childOf(parent: number, name: string): number {
  for (const entry of readdirSync('/proc').filter((pid) => /^\d+$/.test(pid))) {
    const found = matches(Number(entry), parent, name);
    if (found) return Number(entry);
  }
  throw new Error(`no process "${name}" under ${parent}`);
}

function matches(pid: number, parent: number, name: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const parentPid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
    return parentPid === parent && words.at(-1) === name;
  } catch {
    return false;
  }
}

/** Three ports that are free now, as settings. */
export async function freePorts(): Promise<NodeJS.ProcessEnv> {
  const [api, router, link] = await Promise.all([freePort(), freePort(), freePort()]);
  return { PURSER_PORT: String(api), PURSER_ROUTER_PORT: String(router), PURSER_LINK_PORT: String(link) };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
