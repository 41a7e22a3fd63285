// Real router processes and real replica processes, killed while callers send; the book of reports is a list in memory.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { builtEntry, builtNode, ensureBuilt } from '../support/build.ts';
import { eventually } from '../support/eventually.ts';
import { Load } from '../support/load.ts';
import { TestControlPlane, bearer, dataFolder, deployment, replica, revision, table } from '../support/routed.ts';

beforeAll(ensureBuilt);

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function track(child: ChildProcess): ChildProcess {
  closers.push(() => child.kill('SIGKILL'));
  return child;
}

async function replicaProcess() {
  const child = track(
    spawn(builtNode, [join(import.meta.dirname, '..', 'support', 'replica-process.mjs')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const [port] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, address: `127.0.0.1:${port.toString().trim()}` };
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** `fileKiB` = what any file of it may grow to: its disk is full then. */
async function routerProcess(folder: string, port: number, linkPort: number, fileKiB?: number): Promise<ChildProcess> {
  const env = {
    ...process.env,
    PURSER_DATA_DIR: folder,
    PURSER_ROUTER_PORT: String(port),
    PURSER_LINK_PORT: String(linkPort),
    PURSER_LOG_LEVEL: 'fatal',
  };
  const limit = fileKiB === undefined ? 'unlimited' : String(fileKiB);
  const command = ['-c', `ulimit -f ${limit} && exec "$@"`, 'bash', builtNode, builtEntry, 'router'];
  const child = track(spawn('bash', command, { env, stdio: 'inherit' }));
  await eventually(async () => (await fetch(`http://127.0.0.1:${port}/-/readyz`)).status === 200);
  return child;
}

async function scene() {
  const plane = new TestControlPlane();
  await plane.start();
  closers.push(() => plane.stop());
  const replicas = [await replicaProcess(), await replicaProcess()];
  plane.set(table(1, [deployment('a/b/c', [revision(replicas.map((one) => replica(one.address)))])]));
  const [folder, port] = [dataFolder(), await freePort()];
  const url = `http://127.0.0.1:${port}/a/b/c/v2/models/m/infer`;
  return { plane, replicas, folder, port, url, start: (fileKiB?: number) => routerProcess(folder, port, plane.port, fileKiB) };
}

/** Reports on the router's disk. */
function spooledReports(folder: string): number {
  const spool = join(folder, 'router-router', 'spool');
  const files = readdirSync(spool).filter((name) => name.endsWith('.jsonl'));
  return files.reduce((sum, name) => sum + readFileSync(join(spool, name), 'utf8').split('\n').length - 1, 0);
}

const exited = (child: ChildProcess) => once(child, 'exit');

describe('Router: a replica SIGKILLed under load', () => {
  it('answers at least 99.9 % of requests; no request id twice, none counted twice', async () => {
    const { plane, replicas, url, start } = await scene();
    const router = await start();
    const load = new Load(url, bearer, 24);
    await eventually(() => load.answers.length > 300);
    replicas[0]!.child.kill('SIGKILL');
    await eventually(() => load.answers.length > 3_000, 30_000);
    await load.stop();
    const good = load.answers.filter((answer) => answer.status === 200).length;
    expect(good / (load.answers.length + load.failures.length)).toBeGreaterThanOrEqual(0.999);
    expect(new Set(load.answers.map((answer) => answer.requestId)).size).toBe(load.answers.length);
    router.kill('SIGTERM');
    await exited(router);
    expect(plane.sum('requests')).toBe(load.answers.length);
    expect(plane.sum('attempts')).toBeGreaterThanOrEqual(load.answers.length);
  });
});

describe('Router: SIGTERM under load', () => {
  it('loses no request that it has taken, and reports every one before it goes', async () => {
    const { plane, url, start } = await scene();
    const router = await start();
    const load = new Load(url, bearer, 16);
    await eventually(() => load.answers.length > 200);
    router.kill('SIGTERM');
    await exited(router);
    await load.stop();
    expect(load.answers.every((answer) => answer.status === 200)).toBe(true);
    expect(load.failures.map((error) => (error as NodeJS.ErrnoException).code).filter((code) => code !== 'ECONNREFUSED')).toEqual(
      [],
    );
    expect(plane.sum('requests')).toBe(load.answers.length);
  });
});

describe('Router: SIGKILL under load', () => {
  it('starts again with the table from disk although the control plane is dead, and its spool is delivered once', async () => {
    const { plane, url, folder, start } = await scene();
    const first = await start();
    const load = new Load(url, bearer, 16);
    await eventually(() => load.answers.length > 200);
    await plane.stop();
    await eventually(() => load.answers.length > 1_000);
    const [certain, synced] = [load.answers.length, spooledReports(folder)];
    await eventually(() => spooledReports(folder) >= synced + 2);
    first.kill('SIGKILL');
    await exited(first);
    await load.stop();
    const second = await start();
    expect((await fetch(url, { method: 'POST', headers: bearer })).status).toBe(200);
    await plane.start(plane.port);
    await eventually(() => new Set(plane.reports.map((report) => report.source)).size === 2);
    second.kill('SIGTERM');
    await exited(second);
    // What was counted since the last sync is lost, nothing before it, and nothing is invented.
    expect(plane.sum('requests')).toBeLessThanOrEqual(load.answers.length + 16 + 1);
    expect(plane.sum('requests')).toBeGreaterThanOrEqual(certain);
    const keys = plane.reports.map((report) => `${report.source} ${report.sequence}`);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe('Router: its disk is full', () => {
  it('costs usage and no request; what is on disk is delivered once there is somebody to take it', async () => {
    const { plane, url, port, folder, start } = await scene();
    const router = await start(3);
    await plane.stop();
    const load = new Load(url, bearer, 4);
    const dropped = async () => {
      const text = await (await fetch(`http://127.0.0.1:${port}/-/metrics`)).text();
      return Number(/^purser_router_reports_dropped_total (\d+)$/m.exec(text)?.[1] ?? 0);
    };
    await eventually(async () => (await dropped()) >= 2, 30_000);
    const kept = spooledReports(folder);
    expect(kept).toBeGreaterThan(0);
    await plane.start(plane.port);
    await eventually(() => plane.reports.length >= kept + 2);
    await load.stop();
    expect(load.failed).toEqual([]);
    router.kill('SIGTERM');
    await exited(router);
    expect(plane.sum('requests')).toBeLessThan(load.answers.length);
    expect(plane.reports.map(({ sequence }) => sequence)).toEqual(plane.reports.map((_, i) => i + 1));
  });
});
