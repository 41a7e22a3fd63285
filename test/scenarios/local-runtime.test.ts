// A real runtime process with real replicas; faults are real exits, kills and leaks, and only the cluster port and the machine are looked at.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ClusterUnreachable, type ObservedReplica } from '../../src/deployments/cluster.port.ts';
import { runtimePaths } from '../../src/local/runtime-folder.ts';
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

const fence = { epoch: 1 };
const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function open(env?: NodeJS.ProcessEnv): Promise<TestRuntime> {
  const runtime = await startTestRuntime(env);
  opened.push(runtime);
  return runtime;
}

/** The only replica, once it is as wanted. */
const replica = (runtime: TestRuntime, wanted: (one: ObservedReplica) => boolean): Promise<ObservedReplica> =>
  eventually(async () => (await runtime.cluster.observe()).replicas.find(wanted) ?? false, 20_000);

const isServing = (one: ObservedReplica): boolean => one.state === 'serving';
const pidOf = async (one: ObservedReplica): Promise<number> =>
  Number(await (await fetch(`http://${one.address ?? ''}/pid`)).text());
const tellingPid = httpCommand(`http.createServer((q, s) => s.end(String(process.pid))).listen(process.env.PORT, '127.0.0.1');`);
const statesOf = (one: ObservedReplica): readonly string[] => one.transitions.map((transition) => transition.state);

async function killRuntime(runtime: TestRuntime): Promise<void> {
  process.kill((await runtime.cluster.info()).pid, 'SIGKILL');
  await eventually(() =>
    runtime.cluster.info().then(
      () => false,
      () => true,
    ),
  );
}

describe('Local runtime: replicas of the built-in model server', () => {
  test('the artifact is fetched with its token, served, and a restart needs no source', async () => {
    const runtime = await open();
    const source = await serveArtifact();
    await runtime.cluster.apply(workload(source.runtime), fence);
    const first = await replica(runtime, isServing);
    const metadata = (await (await fetch(`http://${first.address ?? ''}/v2/models/digits`)).json()) as { inputs: unknown };
    expect(metadata.inputs).toEqual([{ name: 'pixels', datatype: 'FP32', shape: [-1, 64] }]);
    source.close();
    await runtime.cluster.apply(workload(source.runtime), fence);
    await eventually(async () => (await runtime.cluster.observe()).replicas.filter(isServing).length === 2, 20_000);
  });

  test('a wrong digest is never served and says why', async () => {
    const runtime = await open();
    const source = await serveArtifact();
    opened.push(source);
    await runtime.cluster.apply(workload({ ...source.runtime, artifactDigest: `sha256:${'0'.repeat(64)}` }), fence);
    expect((await replica(runtime, (one) => one.failing)).message).toContain('has digest');
  });

  test('a file that is not a model fails in words that its log keeps', async () => {
    const runtime = await open();
    const source = await serveArtifact(Buffer.from('not a model'));
    opened.push(source);
    await runtime.cluster.apply(workload(source.runtime), fence);
    const failing = await replica(runtime, (one) => one.restarts > 0);
    const { lines } = await runtime.cluster.logs(failing.replicaId, { cursor: null, limit: 100 });
    expect(lines.map((line) => line.text).join('\n')).toContain('is not an ONNX model');
  });
});

describe('Local runtime: crashes, leaks and replicas that never get ready', () => {
  test('a killed replica keeps its slot, is unready meanwhile and serves again', async () => {
    const runtime = await open();
    await runtime.cluster.apply(workload(processRuntime(tellingPid)), fence);
    const before = await replica(runtime, isServing);
    process.kill(await pidOf(before), 'SIGKILL');
    const after = await replica(runtime, (one) => isServing(one) && one.restarts === 1);
    expect(after.replicaId).toBe(before.replicaId);
    expect(statesOf(after)).toEqual(['starting', 'serving', 'unready', 'serving']);
    expect(after.transitions.some((transition) => transition.estimated)).toBe(false);
  });

  test.each([
    ['exits at once', 'process.exit(3)', 'ended with status 3'],
    ['never listens', 'setInterval(() => {}, 1000)', 'not ready within'],
    [
      'answers its probe with 500',
      `http.createServer((q, s) => { s.statusCode = 500; s.end(); }).listen(process.env.PORT);`,
      'answered 500',
    ],
  ])('one that %s is failing, with the reason', async (_what, body, reason) => {
    const runtime = await open();
    await runtime.cluster.apply(workload(processRuntime(httpCommand(body)), { readinessTimeoutMs: 1_500 }), fence);
    const failing = await replica(runtime, (one) => one.failing && one.message.includes(reason));
    expect(statesOf(failing)).toEqual(['starting']);
  });

  test('one that leaks is ended at its memory limit and restarted', async () => {
    const runtime = await open();
    const leak = `http.createServer((q, s) => s.end()).listen(process.env.PORT, '127.0.0.1');
      const kept = []; setInterval(() => kept.push(Buffer.alloc(16 << 20, 1)), 20);`;
    const spec = workload(processRuntime(httpCommand(leak)));
    await runtime.cluster.apply({ ...spec, resources: { ...spec.resources, memoryMib: 192 } }, fence);
    expect((await replica(runtime, (one) => one.restarts > 0 && one.message !== '')).message).toContain(
      'more memory than its limit',
    );
    expect((await runtime.cluster.info()).memoryLimit).toMatch(/^(cgroup-v[12]|rss-polled)$/);
  });
});

describe('Local runtime: replicas survive it and are adopted', () => {
  test('killed and started again it finds the same process, and the same generation is unchanged', async () => {
    const runtime = await open();
    const spec = workload(processRuntime(tellingPid));
    await runtime.cluster.apply(spec, fence);
    const before = await replica(runtime, isServing);
    const pid = await pidOf(before);
    await killRuntime(runtime);
    await expect(runtime.cluster.observe()).rejects.toThrow(ClusterUnreachable);
    expect(await pidOf(before)).toBe(pid);
    await runtime.start();
    const after = await replica(runtime, isServing);
    expect([after.replicaId, await pidOf(after), after.restarts]).toEqual([before.replicaId, pid, 0]);
    expect(after.transitions).toEqual(before.transitions);
    expect(await runtime.cluster.apply(spec, fence)).toEqual({ outcome: 'unchanged' });
    expect(await runtime.cluster.apply(spec, { epoch: 0 })).toEqual({ outcome: 'stale_epoch', seenEpoch: 1 });
  });

  test('what died while nobody watched is restarted, and the time is marked as estimated', async () => {
    const runtime = await open();
    await runtime.cluster.apply(workload(processRuntime(tellingPid)), fence);
    const pid = await pidOf(await replica(runtime, isServing));
    await killRuntime(runtime);
    process.kill(pid, 'SIGKILL');
    await runtime.start();
    const after = await replica(runtime, (one) => isServing(one) && one.restarts === 1);
    expect(after.transitions.map(({ state, estimated }) => [state, estimated])).toEqual([
      ['starting', false],
      ['serving', false],
      ['unready', true],
      ['serving', false],
    ]);
  });
});

describe('Local runtime: tenancy does not end here', () => {
  test('a command needs PURSER_ALLOW_PROCESS, a container needs an engine', async () => {
    const runtime = await open({});
    expect(await runtime.cluster.apply(workload(processRuntime(answering)), fence)).toMatchObject({
      reason: 'PROCESS_NOT_ALLOWED',
    });
    const container = workload({ format: 'container', image: 'model:1', environment: {} });
    expect(await runtime.cluster.apply(container, fence)).toMatchObject({ outcome: 'refused', reason: 'NO_CONTAINER_RUNTIME' });
  });

  const asRoot = process.getuid?.() === 0;
  test.skipIf(!asRoot)(
    "as root a replica has its project's user and cannot read the admin token, sockets or foreign artifacts",
    async () => {
      const runtime = await open();
      const source = await serveArtifact();
      opened.push(source);
      await runtime.cluster.apply(workload(source.runtime), fence);
      const victim = await replica(runtime, isServing);
      writeFileSync(join(runtime.dataDir, 'admin-token'), 'secret', { mode: 0o600 });
      const secrets = [
        join(runtime.dataDir, 'runtime', 'socket'),
        join(runtime.dataDir, 'runtime', 'artifacts'),
        join(runtime.dataDir, 'admin-token'),
      ];
      const probe = httpCommand(`
      const fs = require('fs');
      const attempt = (body) => { try { body(); return 'open'; } catch (error) { return error.code; } };
      http.createServer((q, s) => {
        const { secrets, victim } = JSON.parse(process.env.TARGETS);
        s.end(JSON.stringify({
          uid: process.getuid(), groups: process.getgroups(), cwd: process.cwd(), env: Object.keys(process.env).sort(),
          home: (fs.statSync('.').mode & 0o777).toString(8), limits: fs.readFileSync('/proc/self/limits', 'utf8'),
          capabilities: /CapEff:\\s+0+\\n[^]*CapBnd:\\s+0+\\n/.test(fs.readFileSync('/proc/self/status', 'utf8')),
          noNewPrivileges: /NoNewPrivs:\\s+1/.test(fs.readFileSync('/proc/self/status', 'utf8')),
          secrets: secrets.map((path) => attempt(() => fs.statSync(path).isDirectory() ? fs.readdirSync(path) : 0)),
          foreign: attempt(() => fs.readFileSync(victim)),
        }));
      }).listen(process.env.PORT, '127.0.0.1');`);
      const { homes } = runtimePaths(runtime.dataDir, true);
      const targets = JSON.stringify({ secrets, victim: join(homes, victim.replicaId, 'model.onnx') });
      const attacker = workload(processRuntime(probe, { TARGETS: targets }), {
        projectId: '00000000-0000-4000-8000-0000000000b2',
      });
      await runtime.cluster.apply(attacker, fence);
      const found = await replica(runtime, (one) => isServing(one) && one.workloadId === attacker.workloadId);
      const told = (await (await fetch(`http://${found.address ?? ''}/`)).json()) as Record<string, unknown>;
      expect(told).toMatchObject({ noNewPrivileges: true, foreign: 'EACCES', cwd: join(homes, found.replicaId) });
      expect(told.secrets).toEqual(secrets.map(() => 'EACCES'));
      expect(told).toMatchObject({ home: '700', capabilities: true });
      for (const [limit, value] of [
        ['core file size', 0],
        ['open files', 4096],
        ['processes', 4096],
      ] as const)
        expect(told.limits).toMatch(new RegExp(`^Max ${limit} +${value} +${value} `, 'm'));
      expect(told.uid).toBeGreaterThan(100_000);
      expect(told.env).not.toContain('PURSER_DATA_DIR');
      expect(readFileSync(join(homes, victim.replicaId, 'model.onnx')).length).toBeGreaterThan(0);
    },
  );
});
