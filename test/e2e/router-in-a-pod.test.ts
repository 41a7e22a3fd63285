// The built router as a pod runs it: told everything by its environment, another user than root, nothing to write to but one folder. As root
// the test takes a read-only root away from it for real; as an ordinary user it only withholds what that user has. The control plane is the test's.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { builtEntry, builtNode, ensureBuilt } from '../support/build.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/installation.ts';
import { TestControlPlane, bearer, deployment, replica, revision, table, upstream } from '../support/routed.ts';

const NOBODY = '65532';
const STOP_DELAY_S = 2;
const isRoot = process.getuid?.() === 0;
/** An address of this machine that is not loopback, as a kubelet would use. */
const ownAddress =
  Object.values(networkInterfaces())
    .flat()
    .find((one) => one && one.family === 'IPv4' && !one.internal)?.address ?? '127.0.0.1';

const closers: (() => unknown)[] = [];
beforeAll(ensureBuilt);
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface RouterPod {
  readonly url: string;
  readonly process: ChildProcess;
  readonly exited: Promise<number | null>;
  readonly output: () => string;
}

/** A data folder of its own, empty and on memory; everything else cannot be written to. */
const CAGE = `mount --make-rprivate / && mount -o remount,bind,ro / && mount -t tmpfs -o mode=0777 tmpfs "$PURSER_DATA_DIR" &&
  exec setpriv --reuid ${NOBODY} --regid ${NOBODY} --clear-groups --bounding-set=-all "$@"`;

async function startPod(plane: TestControlPlane, name: string): Promise<RouterPod> {
  const folder = mkdtempSync(join(tmpdir(), 'purser-pod-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const secret = mkdtempSync(join(tmpdir(), 'purser-secret-'));
  closers.push(() => rmSync(secret, { recursive: true, force: true }));
  writeFileSync(join(secret, 'token'), 'router-token\n', { mode: 0o444 });
  chmodSync(secret, 0o555);
  const ports = await freePorts();
  const env = {
    PURSER_HOST: '0.0.0.0',
    PURSER_ROUTER_PORT: ports.PURSER_ROUTER_PORT,
    PURSER_LINK_HOST: '127.0.0.1',
    PURSER_LINK_PORT: String(plane.port),
    PURSER_DATA_DIR: folder,
    PURSER_ROUTER_TOKEN_FILE: join(secret, 'token'),
    PURSER_ROUTER_NAME: name,
    PURSER_STOP_DELAY_SECONDS: String(STOP_DELAY_S),
  };
  const command = [builtNode, builtEntry, 'router'];
  const caged = ['unshare', '--mount', '--', 'sh', '-c', CAGE, 'sh', ...command];
  const [program = '', ...rest] = isRoot ? caged : command;
  const child = spawn(program, rest, { env: { ...env, PATH: process.env.PATH }, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  closers.push(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return { url: `http://${ownAddress}:${ports.PURSER_ROUTER_PORT}`, process: child, exited, output: () => output };
}

async function startPlane(): Promise<TestControlPlane> {
  const plane = new TestControlPlane();
  await plane.start();
  closers.push(plane.stop);
  return plane;
}

const statusOf = (url: string): Promise<number> =>
  fetch(url, { headers: { connection: 'close' } }).then(
    ({ status }) => status,
    () => 0,
  );

describe('Route: the router as a pod', () => {
  test('runs with a read-only root as another user, is alive before it is ready, and ready once it has a table', async () => {
    const plane = await startPlane();
    const pod = await startPod(plane, 'router-one');
    await eventually(async () => (await statusOf(`${pod.url}/-/healthz`)) === 200, 30_000).catch(() => {
      throw new Error(pod.output());
    });
    expect(await statusOf(`${pod.url}/-/readyz`)).toBe(503);
    const { server, address } = await upstream((_, response) => void response.end('here'));
    closers.push(() => (server.closeAllConnections(), server.close()));
    plane.set(table(1, [deployment('a/b/c', [revision([replica(address)])])]));
    await eventually(async () => (await statusOf(`${pod.url}/-/readyz`)) === 200);
    expect(await (await fetch(`${pod.url}/a/b/c/`, { headers: bearer })).text()).toBe('here');
    expect(pod.output()).not.toMatch(/EROFS|EACCES|could not/);
  });

  test('told to stop it is not ready at once, takes requests for a while, answers what it has and holds, and reports all before it goes', async () => {
    const plane = await startPlane();
    const { server, address } = await upstream((_, response) => void response.end('here'));
    closers.push(() => (server.closeAllConnections(), server.close()));
    const ready = deployment('a/b/ready', [revision([replica(address)])]);
    const first = revision([]);
    const waking = deployment('a/b/waking', [first], { wake: { wished: 1, since: null, etaMs: null } });
    plane.set(table(1, [ready, waking]));
    const pod = await startPod(plane, 'router');
    await eventually(async () => (await statusOf(`${pod.url}/-/readyz`)) === 200, 30_000);
    const call = (path: string) => fetch(`${pod.url}/${path}/`, { headers: bearer });
    const held = call('a/b/waking');
    expect((await call('a/b/ready')).status).toBe(200);
    pod.process.kill('SIGTERM');
    await eventually(async () => (await statusOf(`${pod.url}/-/readyz`)) === 503);
    const late = await call('a/b/ready');
    expect([late.status, late.headers.get('connection')]).toEqual([200, 'close']);
    await eventually(async () => (await statusOf(`${pod.url}/-/healthz`)) === 0);
    plane.set(table(2, [ready, { ...waking, revisions: [{ ...first, replicas: [replica(address)] }], wake: undefined }]));
    expect((await held).status).toBe(200);
    expect(await pod.exited).toBe(0);
    expect(plane.sum('requests')).toBe(3);
  });

  test('several share one token: each reports under its own name, and what one counts another one does not', async () => {
    const plane = await startPlane();
    const { server, address } = await upstream((_, response) => void response.end('here'));
    closers.push(() => (server.closeAllConnections(), server.close()));
    plane.set(table(1, [deployment('a/b/c', [revision([replica(address)])])]));
    const names = ['router-a1', 'router-b2', 'router-c3'];
    const pods = await Promise.all(names.map((name) => startPod(plane, name)));
    for (const { url } of pods) {
      await eventually(async () => (await statusOf(`${url}/-/readyz`)) === 200, 30_000);
      for (let n = 0; n < 5; n += 1) expect((await fetch(`${url}/a/b/c/`, { headers: bearer })).status).toBe(200);
    }
    await eventually(() => plane.sum('requests') === 15);
    const counted = Map.groupBy(plane.reports, ({ source }) => source.split('/')[0]);
    const requests = names.map((name) =>
      (counted.get(name) ?? []).flatMap(({ rows }) => rows).reduce((sum, row) => sum + row.requests, 0),
    );
    expect(requests).toEqual([5, 5, 5]);
  });
});
