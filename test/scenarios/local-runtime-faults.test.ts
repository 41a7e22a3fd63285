// Real runtimes and real replicas again: those that do not want to end, talk too much, start twice, or wake up after a reboot. A reboot is the
// death of all processes at once and another boot id in the runtime's folder, which is all that a runtime can see of one.
import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { ClusterPort, ObservedReplica } from '../../src/deployments/cluster.port.ts';
import { ArtifactCache, KEEP_UNUSED_MS } from '../../src/local/artifact-cache.ts';
import { LocalCluster } from '../../src/local/local-cluster.adapter.ts';
import { startTimeOf } from '../../src/local/processes.ts';
import { runtimePaths } from '../../src/local/runtime-folder.ts';
import { ensureRuntime } from '../../src/local/spawn-runtime.ts';
import { builtEntry, builtNode, ensureBuilt } from '../support/build.ts';
import { eventually } from '../support/eventually.ts';
import {
  answering,
  httpCommand,
  processRuntime,
  serveArtifact,
  startTestRuntime,
  workload,
  type TestRuntime,
} from '../support/local-runtime.ts';
import { isRunning } from '../support/live-system.ts';
import { canMount, mountSmallDisk } from '../support/small-disk.ts';

const fence = { epoch: 1 };
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function open(): Promise<TestRuntime> {
  const runtime = await startTestRuntime();
  opened.push(runtime);
  return runtime;
}

const replica = (cluster: ClusterPort, wanted: (one: ObservedReplica) => boolean): Promise<ObservedReplica> =>
  eventually(async () => (await cluster.observe()).replicas.find(wanted) ?? false, 20_000);
const isServing = (one: ObservedReplica): boolean => one.state === 'serving' && one.capacityUntil === null;
const statesOf = (one: ObservedReplica): readonly string[] => one.transitions.map(({ state }) => state);
const ask = async (one: ObservedReplica, path: string): Promise<string> =>
  (await fetch(`http://${one.address ?? ''}${path}`)).text();
interface Written {
  readonly process: object;
  readonly transitions: readonly object[];
}

/** Kills the runtime, changes what it wrote down of a replica, and starts another one. */
async function restartAfter(runtime: TestRuntime, one: ObservedReplica, change: (record: Written) => Written): Promise<void> {
  process.kill((await runtime.cluster.info()).pid, 'SIGKILL');
  const file = join(runtime.dataDir, 'runtime', 'replicas', `${one.replicaId}.json`);
  writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8')) as Written)));
  await runtime.start();
}

const PID = `if (q.url === '/pid') return s.end(String(process.pid));`;

describe('Local runtime: graceful drain', () => {
  test('one that ignores SIGTERM is ended with SIGKILL when its drain time is over, and nothing of it stays', async () => {
    const { cluster, dataDir } = await open();
    const command = [
      builtNode,
      '-e',
      `process.on('SIGTERM', () => console.log('not yet'));
       require('http').createServer((q, s) => { ${PID} s.end(); }).listen(process.env.PORT, '127.0.0.1');`,
    ];
    const spec = workload(processRuntime(command), { drainTimeoutMs: 1_500 });
    await cluster.apply(spec, fence);
    const before = await replica(cluster, isServing);
    const pid = Number(await ask(before, '/pid'));
    const home = join(runtimePaths(dataDir, isRoot).homes, before.replicaId);
    expect(existsSync(home)).toBe(true);
    await cluster.remove(spec.workloadId, fence);
    const gone = await replica(cluster, (one) => one.capacityUntil !== null);
    expect(isRunning(pid)).toBe(false);
    const drained = (gone.capacityUntil ?? 0) - (gone.transitions.at(-1)?.at ?? 0);
    expect(drained).toBeGreaterThanOrEqual(1_500);
    expect(drained).toBeLessThan(6_000);
    expect((await cluster.logs(gone.replicaId, { cursor: null, limit: 10 })).lines.map(({ text }) => text)).toEqual(['not yet']);
    expect(existsSync(home)).toBe(false);
  });

  test('one that still answers when it is told to end finishes what it has', async () => {
    const { cluster } = await open();
    const body = `const server = http.createServer((q, s) => { ${PID} if (q.url === '/slow') setTimeout(() => s.end('whole'), 2500); else s.end(); });
      server.listen(process.env.PORT, '127.0.0.1'); process.removeAllListeners('SIGTERM'); process.on('SIGTERM', () => server.close(() => process.exit(0)));`;
    const spec = workload(processRuntime([builtNode, '-e', `const http = require('http'); ${body}`]), { drainTimeoutMs: 10_000 });
    await cluster.apply(spec, fence);
    const slow = ask(await replica(cluster, isServing), '/slow');
    await cluster.remove(spec.workloadId, fence);
    expect(await slow).toBe('whole');
    await replica(cluster, (one) => one.capacityUntil !== null);
  });
});

/** Processes that were started with this data folder, replicas left out. */
const runtimesOf = (dataDir: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isRunning(Number(name)))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/environ`, 'utf8').split('\0').includes(`PURSER_DATA_DIR=${dataDir}`);
      } catch {
        return false;
      }
    })
    .map(Number);

describe('Local runtime: one per folder', () => {
  test('three started at once are one, and what it runs is run once', async () => {
    await ensureBuilt();
    const dataDir = mkdtempSync(join(tmpdir(), 'purser-runtime-'));
    const env = { PATH: process.env.PATH, PURSER_LOG_LEVEL: 'warn', PURSER_ALLOW_PROCESS: '1' };
    const all = await Promise.all([1, 2, 3].map(() => ensureRuntime({ dataDir, node: builtNode, entry: builtEntry, env })));
    opened.push({
      close: async () => {
        await all[0]!.shutdown({ andReplicas: true });
        rmSync(dataDir, { recursive: true, force: true });
      },
    });
    const pids = await Promise.all(all.map(async (cluster) => (await cluster.info()).pid));
    expect(new Set(pids).size).toBe(1);
    const spec = workload(processRuntime(answering));
    const outcomes = await Promise.all(all.map((cluster) => cluster.apply(spec, fence)));
    expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(['applied', 'unchanged', 'unchanged']);
    expect((await all[1]!.observe()).replicas).toHaveLength(1);
    // Nobody who gave way is still on its way: one that came late would outlive them all.
    expect(runtimesOf(dataDir)).toEqual([pids[0]]);
  });
});

describe('Local runtime: which processes are its own', () => {
  const tellingPid = httpCommand(`http.createServer((q, s) => { ${PID} s.end(); }).listen(process.env.PORT, '127.0.0.1');`);
  /** Kills the runtime, changes what it wrote down of its replica's process, and starts another one. */
  const restartWith = (runtime: TestRuntime, one: ObservedReplica, change: (process: object) => object): Promise<void> =>
    restartAfter(runtime, one, (record) => ({ ...record, process: change(record.process) }));

  test('killed between a spawn and writing its pid down, its successor finds the process by its nonce', async () => {
    const runtime = await open();
    await runtime.cluster.apply(workload(processRuntime(tellingPid)), fence);
    const before = await replica(runtime.cluster, isServing);
    const pid = await ask(before, '/pid');
    await restartWith(runtime, before, (process) => ({ ...process, pid: null, startedAt: '' }));
    const after = await replica(runtime.cluster, isServing);
    expect([after.replicaId, after.restarts, await ask(after, '/pid')]).toEqual([before.replicaId, 0, pid]);
  });

  test('a pid that belongs to somebody else by now is neither adopted nor harmed', async () => {
    const runtime = await open();
    await runtime.cluster.apply(workload(processRuntime(tellingPid)), fence);
    const before = await replica(runtime.cluster, isServing);
    const stranger = spawn(builtNode, ['-e', 'setInterval(() => {}, 1000)'], { detached: true });
    const pid = stranger.pid ?? 0;
    opened.push({ close: () => isRunning(pid) && stranger.kill('SIGKILL') });
    const old = Number(await ask(before, '/pid'));
    const startedAt = startTimeOf(pid);
    await restartWith(runtime, before, (was) => {
      process.kill(old, 'SIGKILL');
      return { ...was, pid, startedAt };
    });
    const after = await replica(runtime.cluster, (one) => isServing(one) && one.restarts === 1);
    expect(Number(await ask(after, '/pid'))).not.toBe(pid);
    expect(isRunning(pid)).toBe(true);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'a daemon that a replica left in a session of its own ends with it: %s',
    async (signal) => {
      const { cluster } = await open();
      const body = `const child = require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
      http.createServer((q, s) => { ${PID} s.end(String(child.pid)); }).listen(process.env.PORT, '127.0.0.1');`;
      const spec = workload(processRuntime(httpCommand(body)));
      await cluster.apply(spec, fence);
      const one = await replica(cluster, isServing);
      const [pid, daemon] = [Number(await ask(one, '/pid')), Number(await ask(one, '/daemon'))];
      expect(isRunning(daemon)).toBe(true);
      if (signal === 'SIGTERM') await cluster.remove(spec.workloadId, fence);
      else process.kill(pid, 'SIGKILL');
      await eventually(() => !isRunning(daemon), 10_000);
    },
  );

  test.skipIf(!isRoot)('who takes the port of another project’s replica first is not taken for it', async () => {
    const { cluster } = await open();
    // The replica never listens; a process of another project does, on the port that the replica was given.
    const idle = workload(processRuntime(httpCommand(`console.log('port', process.env.PORT); setInterval(() => {}, 1000);`)));
    await cluster.apply(idle, fence);
    const port = await eventually(async () => {
      const [one] = (await cluster.observe()).replicas;
      const { lines } = await cluster.logs(one?.replicaId ?? '', { cursor: null, limit: 1 });
      return lines[0]?.text.split(' ')[1] ?? false;
    });
    const thief = httpCommand(
      `for (const port of [process.env.PORT, process.env.STOLEN]) http.createServer((q, s) => s.end('give me your requests')).listen(port, '127.0.0.1');`,
    );
    const other = workload(processRuntime(thief, { STOLEN: port }), { projectId: '00000000-0000-4000-8000-0000000000b2' });
    await cluster.apply(other, fence);
    await replica(cluster, (one) => isServing(one) && one.workloadId === other.workloadId);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('give me your requests');
    const robbed = await replica(cluster, (one) => one.workloadId === idle.workloadId && one.message.includes('stranger'));
    expect(statesOf(robbed)).toEqual(['starting']);
  });
});

describe('Local runtime: a replica that comes and goes for hours', () => {
  test('makes room for another once its history is long', async () => {
    const runtime = await open();
    const spec = workload(
      processRuntime(httpCommand(`http.createServer((q, s) => s.end()).listen(process.env.PORT, '127.0.0.1');`)),
    );
    await runtime.cluster.apply(spec, fence);
    const before = await replica(runtime.cluster, isServing);
    await restartAfter(runtime, before, (record) => ({
      ...record,
      transitions: Array.from({ length: 500 }, (_, n) => ({
        at: before.capacityFrom + n,
        state: n % 2 === 0 ? 'unready' : 'serving',
        estimated: false,
      })),
    }));
    const next = await replica(runtime.cluster, (one) => isServing(one) && one.replicaId !== before.replicaId);
    expect(statesOf(next)).toEqual(['starting', 'serving']);
    const old = await replica(runtime.cluster, (one) => one.replicaId === before.replicaId && one.capacityUntil !== null);
    expect(old.transitions.at(-1)?.state).toBe('draining');
  });
});

describe('Local runtime: its disk is full', () => {
  test.skipIf(!canMount())('it goes on watching and answering, and once there is room it starts again what crashed', async () => {
    await ensureBuilt();
    const dataDir = mkdtempSync(join(tmpdir(), 'purser-full-'));
    const disk = mountSmallDisk(dataDir);
    const env = { PATH: process.env.PATH, PURSER_LOG_LEVEL: 'silent', PURSER_ALLOW_PROCESS: '1' };
    const cluster = await ensureRuntime({ dataDir, node: builtNode, entry: builtEntry, env });
    opened.push({
      close: async () => {
        await cluster.shutdown({ andReplicas: true });
        await eventually(() => disk.unmount());
        rmSync(dataDir, { recursive: true, force: true });
      },
    });
    const { pid: runtime } = await cluster.info();
    await cluster.apply(
      workload(
        processRuntime(httpCommand(`http.createServer((q, s) => { ${PID} s.end(); }).listen(process.env.PORT, '127.0.0.1');`)),
      ),
      fence,
    );
    const before = await replica(cluster, isServing);
    const filler = join(dataDir, 'filler');
    expect(() => writeFileSync(filler, Buffer.alloc(2 << 20))).toThrow('ENOSPC');
    const alive = readFileSync(join(dataDir, 'runtime', 'alive'), 'utf8');
    process.kill(Number(await ask(before, '/pid')), 'SIGKILL');
    await replica(cluster, (one) => one.state === 'unready');
    // Longer than signs of life are apart.
    await eventually(() => Date.now() - Number(alive) > 7_000, 10_000);
    expect((await cluster.info()).pid).toBe(runtime);
    rmSync(filler);
    expect((await replica(cluster, isServing)).replicaId).toBe(before.replicaId);
    expect((await cluster.info()).pid).toBe(runtime);
  });
});

describe('Local runtime: after a reboot', () => {
  test('what ran has ended at the last sign of life, and runs again once it is wished for anew', async () => {
    const runtime = await open();
    const spec = workload(
      processRuntime(httpCommand(`http.createServer((q, s) => { ${PID} s.end(); }).listen(process.env.PORT, '127.0.0.1');`)),
    );
    await runtime.cluster.apply(spec, fence);
    const before = await replica(runtime.cluster, isServing);
    const folder = join(runtime.dataDir, 'runtime');
    const lastSign = await eventually(() => Number(readFileSync(join(folder, 'alive'), 'utf8')));
    for (const pid of [(await runtime.cluster.info()).pid, Number(await ask(before, '/pid'))]) process.kill(pid, 'SIGKILL');
    writeFileSync(join(folder, 'boot'), 'an earlier boot');
    // The pid of the dead runtime belongs to somebody else by now.
    writeFileSync(join(folder, 'runtime.pid'), JSON.stringify({ pid: process.pid, startedAt: '1', bootId: 'an earlier boot' }));
    const cluster = await runtime.start();
    const [ended, ...others] = (await cluster.observe()).replicas;
    expect(others).toEqual([]);
    expect(ended).toMatchObject({
      replicaId: before.replicaId,
      untilEstimated: true,
      message: 'The machine was restarted.',
      address: null,
    });
    expect(ended!.capacityUntil).toBeGreaterThanOrEqual(Math.min(lastSign, before.transitions.at(-1)!.at));
    expect(ended!.capacityUntil).toBeLessThanOrEqual(Date.now());
    expect((await cluster.observe()).workloads).toEqual([]);
    expect(await cluster.apply(spec, { epoch: 0 })).toMatchObject({ outcome: 'stale_epoch' });
    expect(await cluster.apply(spec, fence)).toEqual({ outcome: 'applied' });
    expect((await replica(cluster, isServing)).replicaId).not.toBe(before.replicaId);
  });
});

describe('Local runtime: memory where no control group can be made', () => {
  const children: ChildProcess[] = [];
  afterEach(async () => {
    for (const child of children.splice(0)) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.kill('SIGKILL')) await ended;
    }
  });

  test.skipIf(!isRoot)('an ordinary user’s runtime looks each second, says so, and ends what is over its limit', async () => {
    await ensureBuilt();
    const dataDir = mkdtempSync(join(tmpdir(), 'purser-ordinary-'));
    chmodSync(dataDir, 0o755);
    chownSync(dataDir, NOBODY, NOBODY);
    const env = { PURSER_DATA_DIR: dataDir, PURSER_LOG_LEVEL: 'warn', PURSER_ALLOW_PROCESS: '1', PATH: process.env.PATH };
    children.push(spawn(builtNode, [builtEntry, 'runtime'], { uid: NOBODY, gid: NOBODY, cwd: '/', env }));
    const cluster = new LocalCluster({ socket: runtimePaths(dataDir, false).socket });
    opened.push({ close: () => rmSync(dataDir, { recursive: true, force: true }) });
    expect(await eventually(() => cluster.info(), 20_000)).toMatchObject({ memoryLimit: 'rss-polled', user: 'own' });
    const leak = `http.createServer((q, s) => s.end()).listen(process.env.PORT, '127.0.0.1');
      const kept = []; setInterval(() => kept.push(Buffer.alloc(16 << 20, 1)), 40);`;
    const spec = workload(processRuntime(httpCommand(leak)));
    await cluster.apply({ ...spec, resources: { ...spec.resources, memoryMib: 192 } }, fence);
    const killed = await replica(cluster, (one) => one.restarts > 0 && one.message !== '');
    expect(killed.message).toBe('The replica stopped: it used more memory than its limit of 192 MiB (rss-polled).');
    await cluster.shutdown({ andReplicas: true });
  });
});

describe('Local runtime: the cache of artifacts', () => {
  test('what nobody ran for a day is deleted, what is in use is not, and half a fetch never stays', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'purser-cache-'));
    opened.push({ close: () => rmSync(folder, { recursive: true, force: true }) });
    const cache = new ArtifactCache(folder);
    const sources = await Promise.all(['used', 'unused', 'fresh'].map((text) => serveArtifact(Buffer.from(text))));
    const [used, unused, fresh] = sources.map(({ runtime }) => runtime.artifactDigest) as [string, string, string];
    const files = await Promise.all(
      sources.map(({ runtime }) => cache.fetch({ digest: runtime.artifactDigest, url: runtime.artifactUrl, token: 'good' })),
    );
    sources.forEach((source) => source.close());
    const now = Date.now();
    const longAgo = (now - KEEP_UNUSED_MS - 60_000) / 1000;
    for (const file of files.slice(0, 2)) utimesSync(file, longAgo, longAgo);
    cache.prune(new Set([used]), now);
    const kept = () =>
      readdirSync(folder)
        .map((name) => `sha256:${name}`)
        .sort();
    expect(kept()).toEqual([used, fresh].sort());
    expect(kept()).not.toContain(unused);
    writeFileSync(join(folder, 'abc.part'), 'half');
    new ArtifactCache(folder).prune(new Set(), now + KEEP_UNUSED_MS - 60_000);
    expect(kept()).toEqual([used, fresh].sort());
    cache.prune(new Set(), now + KEEP_UNUSED_MS + 60_000);
    expect(kept()).toEqual([]);
  });
});
