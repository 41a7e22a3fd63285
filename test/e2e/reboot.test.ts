// The machine loses its power and comes back: every process of an installation is killed at once, the database's included, and what names
// processes or this boot in its files names others. Then it is started as always.
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pidOf } from '../../src/persistence/postgres-server.ts';
import { eventually } from '../support/eventually.ts';
import { databaseFolder, startInstallation, type Installation } from '../support/installation.ts';
import { callDigits, deployVersion, DIGITS, isRunning, look, rowsOf, untilReady } from '../support/live-system.ts';

const SECOND = 'example/demo/second';
let purser: Installation;

beforeAll(async () => {
  purser = await startInstallation();
});
afterAll(() => purser.remove());

const statOf = (pid: number): string[] => {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
};

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return Number(statOf(pid)[1]) === parent;
      } catch {
        return false;
      }
    });
}

/** Every process of the installation, the supervisor first, so that nobody starts another one. */
async function processesOf({ dataDir }: Installation): Promise<number[]> {
  const supervisor = Number(statOf(purser.pidOf('serve'))[1]);
  const runtime = join(dataDir, 'runtime');
  const replicas = readdirSync(join(runtime, 'replicas')).map(
    (name) =>
      (JSON.parse(readFileSync(join(runtime, 'replicas', name), 'utf8')) as { process: { pid: number } | null }).process?.pid,
  );
  const { pid } = JSON.parse(readFileSync(join(runtime, 'runtime.pid'), 'utf8')) as { pid: number };
  const postgres = await pidOf(databaseFolder(dataDir));
  const all = [
    supervisor,
    purser.pidOf('serve'),
    purser.pidOf('router'),
    pid,
    ...replicas,
    postgres,
    ...childrenOf(postgres ?? 0),
  ];
  return all.filter((one) => one !== undefined && one !== null);
}

const upload = (method: string, { headers = {}, body = null as string | null } = {}) =>
  fetch(`${purser.apiUrl}/projects/example/demo/artifacts/sha256:${'a'.repeat(64)}`, {
    method,
    body,
    headers: { authorization: `Bearer ${purser.adminToken}`, ...headers },
  });

describe('After a reboot', () => {
  test('everything that was wished for runs again from the database alone, under new replicas, and the time between costs nothing', async () => {
    await deployVersion(purser, { project: { path: 'example/demo' }, name: 'second', model: 'digits', replicas: 2 });
    await untilReady(purser, SECOND);
    const before = [...(await look(purser)).replicas, ...(await look(purser, SECOND)).replicas].map(({ id }) => id);
    expect(before).toHaveLength(3);
    const range = { 'content-range': 'bytes 0-9/20' };
    expect((await upload('PUT', { headers: range, body: '0123456789' })).status).toBe(202);
    await rowsOf(purser, `update artifact set touched_at = 0 where state = 'uploading'`);
    const processes = await processesOf(purser);
    expect(processes.length).toBeGreaterThan(7);
    for (const pid of processes) process.kill(pid, 'SIGKILL');
    await eventually(() => processes.every((pid) => !isRunning(pid)));
    const off = Date.now();
    const runtime = join(purser.dataDir, 'runtime');
    writeFileSync(join(runtime, 'boot'), 'the boot before');
    writeFileSync(join(runtime, 'runtime.pid'), JSON.stringify({ pid: process.pid, startedAt: '1', bootId: 'the boot before' }));
    rmSync(join(runtime, 'socket'), { force: true });
    // Somebody makes coffee.
    await eventually(() => Date.now() - off > 3_000);
    const on = Date.now();

    purser = await startInstallation({ like: purser });
    const seen = [await untilReady(purser), await untilReady(purser, SECOND)];
    const after = seen.flatMap(({ replicas }) => replicas);
    expect(seen.map(({ generation, revision }) => [generation, revision?.number])).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(after.map(({ state }) => state)).toEqual(['SERVING', 'SERVING', 'SERVING']);
    expect(after.filter(({ id }) => before.includes(id))).toEqual([]);
    const load = callDigits(purser, 2);
    await eventually(() => load.answers.length > 50);
    await load.stop();
    expect(load.failed).toEqual([]);

    const ended = await rowsOf<{ until: string; estimated: boolean; message: string }>(
      purser,
      `select capacity_until as until, until_estimated as estimated, message from replica where capacity_until is not null`,
    );
    expect(ended).toHaveLength(before.length);
    for (const { until, estimated, message } of ended) {
      expect([estimated, message]).toEqual([true, 'The machine was restarted.']);
      expect(Number(until)).toBeLessThanOrEqual(off);
    }
    const [{ from } = { from: '0' }] = await rowsOf<{ from: string }>(
      purser,
      `select min(capacity_from) as from from replica where capacity_until is null`,
    );
    expect(Number(from)).toBeGreaterThanOrEqual(on);
  });

  test('an upload that nobody went on with for days was forgotten at the start, with its quota', async () => {
    expect((await upload('HEAD')).status).toBe(404);
    expect(await rowsOf(purser, `select 1 from artifact where state = 'uploading'`)).toEqual([]);
  });

  test('its files name the present processes again', async () => {
    const { pid } = JSON.parse(readFileSync(join(purser.dataDir, 'runtime', 'runtime.pid'), 'utf8')) as { pid: number };
    expect(isRunning(pid) && pid !== process.pid).toBe(true);
    expect((await look(purser, DIGITS)).status.phase).toBe('READY');
  });
});
