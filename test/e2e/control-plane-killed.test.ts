// A whole installation whose control plane and local runtime are killed by SIGKILL while callers send; seen from the API and /proc.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';
import {
  callDigits,
  countedRequests,
  deployVersion,
  isRunning,
  look,
  registerNextVersion,
  untilReady,
  type Seen,
} from '../support/live-system.ts';

const CALLERS = 4;
const MODEL = { project: { path: 'example/demo' }, name: 'digits', model: 'digits' };
let purser: Installation;
let sent = 0;

beforeAll(async () => {
  purser = await startInstallation();
  // What the start itself sent.
  sent = 5;
});
afterAll(() => purser.remove());

const runtimePid = (): number =>
  (JSON.parse(readFileSync(join(purser.dataDir, 'runtime', 'runtime.pid'), 'utf8')) as { pid: number }).pid;

/** Pid by replica, as the runtime wrote it down. */
function replicaPids(seen: Seen): number[] {
  return seen.replicas.map(({ id }) => {
    const replicaId = Buffer.from(id, 'base64url').toString().split(':').at(-1) ?? '';
    return (
      JSON.parse(readFileSync(join(purser.dataDir, 'runtime', 'replicas', `${replicaId}.json`), 'utf8')) as {
        process: { pid: number };
      }
    ).process.pid;
  });
}

/** Kills the control plane and waits until its successor answers. */
async function killControlPlane(): Promise<void> {
  const before = purser.pidOf('serve');
  process.kill(before, 'SIGKILL');
  await eventually(async () => purser.pidOf('serve') !== before && (await fetch(`${purser.apiUrl}/readyz`)).ok, 30_000);
}

describe('Control plane SIGKILLed while requests flow', () => {
  test('no request fails, its replicas run on, and each request is counted once', async () => {
    const pids = replicaPids(await look(purser));
    const load = callDigits(purser, CALLERS);
    await eventually(() => load.answers.length > 200);
    await killControlPlane();
    const atReturn = load.answers.length;
    await eventually(() => load.answers.length > atReturn + 200);
    await load.stop();
    sent += load.answers.length;
    expect(load.failed).toEqual([]);
    expect(replicaPids(await untilReady(purser))).toEqual(pids);
    expect(await eventually(async () => (await countedRequests(purser)) >= sent && countedRequests(purser), 20_000)).toBe(sent);
  });
});

describe('Three SIGKILLs of the control plane during a rollout', () => {
  test('the same end state as without, and no request lost on the way', async () => {
    const load = callDigits(purser, CALLERS);
    const modelVersion = await registerNextVersion(purser);
    await deployVersion(purser, { ...MODEL, modelVersion });
    await killControlPlane();
    await eventually(async () => (await look(purser)).rollout?.state !== 'STARTING', 30_000);
    await killControlPlane();
    await eventually(async () => ['DRAINING', 'DONE'].includes((await look(purser)).rollout?.state ?? ''), 60_000);
    await killControlPlane();
    const seen = await eventually(async () => {
      const now = await untilReady(purser);
      return now.rollout?.state === 'DONE' && now.replicas.length === 1 && now;
    }, 60_000);
    await load.stop();
    sent += load.answers.length;
    expect(load.failed).toEqual([]);
    expect(new Set(load.answers.map(({ revision }) => revision))).toEqual(new Set(['1', '2']));
    expect(seen).toMatchObject({
      generation: 2,
      revision: { number: 2 },
      rollout: { state: 'DONE', toRevision: 2 },
      replicas: [{ state: 'SERVING', restarts: 0 }],
    });
    expect(await eventually(async () => (await countedRequests(purser)) >= sent && countedRequests(purser), 20_000)).toBe(sent);
  });
});

describe('Local runtime SIGKILLed', () => {
  test('a successor adopts the same replica processes, and no request fails', async () => {
    const pids = replicaPids(await look(purser));
    const before = runtimePid();
    const load = callDigits(purser, CALLERS);
    process.kill(before, 'SIGKILL');
    await eventually(() => runtimePid() !== before && isRunning(runtimePid()), 30_000);
    const seen = await eventually(async () => {
      const now = await untilReady(purser);
      return now.replicas.length > 0 && now;
    });
    await load.stop();
    sent += load.answers.length;
    expect(load.failed).toEqual([]);
    expect(replicaPids(seen)).toEqual(pids);
    expect(pids.every(isRunning)).toBe(true);
  });
});

describe('Replica SIGKILLed under load', () => {
  test('it is started again in its slot, and callers meet no error beyond the budget', async () => {
    await deployVersion(purser, { ...MODEL, modelVersion: 2, replicas: 2, maxReplicas: 6 });
    await eventually(async () => {
      const now = await untilReady(purser);
      return (
        now.rollout?.state === 'DONE' &&
        now.replicas.filter(({ state }) => state === 'SERVING').length === 2 &&
        now.replicas.length === 2
      );
    }, 60_000);
    const load = callDigits(purser, CALLERS);
    await eventually(() => load.answers.length > 300);
    process.kill(replicaPids(await look(purser))[0] ?? 0, 'SIGKILL');
    await eventually(() => load.answers.length > 3_000, 60_000);
    await load.stop();
    sent += load.answers.length + load.failures.length;
    expect(1 - load.failed.length / (load.answers.length + load.failures.length)).toBeGreaterThanOrEqual(0.999);
    expect(new Set(load.answers.map(({ requestId }) => requestId)).size).toBe(load.answers.length);
    await eventually(
      async () => (await look(purser)).replicas.some(({ restarts, state }) => restarts === 1 && state === 'SERVING'),
      30_000,
    );
    expect(await eventually(async () => (await countedRequests(purser)) >= sent && countedRequests(purser), 20_000)).toBe(sent);
  });
});
