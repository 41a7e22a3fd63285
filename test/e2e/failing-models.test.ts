// A whole installation, driven by the command line alone, and versions of a user's own command that fail in every way: what the caller is told,
// where the deployment ends, and why it says it is there.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import { builtNode } from '../support/build.ts';
import { openCli, type Ran, type TestCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';
import { Load } from '../support/load.ts';

let purser: Installation;
let cli: TestCli;
let folder: string;

beforeAll(async () => {
  purser = await startInstallation({ env: { PURSER_ALLOW_PROCESS: '1' } });
  cli = openCli(purser.env);
  folder = mkdtempSync(join(tmpdir(), 'purser-scripts-'));
  // Replicas have users of their own.
  chmodSync(folder, 0o755);
});
afterAll(async () => {
  cli.close();
  await purser.remove();
  rmSync(folder, { recursive: true, force: true });
});

const START = `const http = require('http'); process.on('SIGTERM', () => process.exit(0));
  const serve = (other) => http.createServer((q, s) => { q.resume(); if (q.url === '/health') s.end(); else other(q, s); }).listen(process.env.PORT, '127.0.0.1');`;
const SCRIPTS = {
  good: `serve((q, s) => s.end('{}'));`,
  exits: `console.error('no weights found'); process.exit(3);`,
  leaks: `serve((q, s) => s.end('{}')); const kept = []; setInterval(() => kept.push(Buffer.alloc(8 << 20, 1)), 50);`,
  garbage: `serve((q, s) => s.socket.end('these are not the bytes you are looking for\\r\\n\\r\\n'));`,
} as const;

/** Registers the script as the next version of the model of that name, and the model if it is new. */
async function register(model: string, script: keyof typeof SCRIPTS): Promise<void> {
  const file = join(folder, `${script}.cjs`);
  writeFileSync(file, START + SCRIPTS[script], { mode: 0o644 });
  await cli.run(['models', 'register', `example/demo/${model}`]);
  const command = ['--command', `${builtNode} ${file}`, '--health-path', '/health', '--memory', '128', '--cpu', '100'];
  const registered = await cli.run(['versions', 'register', `example/demo/${model}`, ...command]);
  expect(registered.stderr).toBe('');
}

const deploy = (model: string): Promise<Ran> => cli.run(['deploy', `example/demo/${model}`, '--wait', '--max-replicas', '4']);

interface Described {
  readonly status: {
    readonly phase: string;
    readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[];
  };
  readonly revision: { readonly number: number } | null;
  readonly replicas: readonly { readonly state: string; readonly restarts: number; readonly message: string }[];
}

const describeIt = (model: string): Promise<Described> => cli.json<Described>('describe', `example/demo/${model}`);
const conditionsOf = ({ status }: Described) =>
  Object.fromEntries(status.conditions.map(({ type, status: value, message }) => [type, `${value}: ${message}`]));
const call = (model: string) =>
  fetch(`${purser.routerUrl}/example/demo/${model}/predict`, {
    method: 'POST',
    body: '{}',
    headers: { authorization: `Bearer ${purser.adminToken}` },
  });

describe('A model whose process exits at once', () => {
  test('as the first revision: the deployment has failed, says why, and its log keeps the last words', async () => {
    await register('quits', 'exits');
    const { code, stderr } = await deploy('quits');
    expect(code).toBe(EXIT.NOT_READY);
    expect(stderr).toMatch(/example\/demo\/quits failed: .*its process ended with status 3/);
    const seen = await describeIt('quits');
    expect(seen.status.phase).toBe('FAILED');
    expect(conditionsOf(seen)).toMatchObject({
      Ready: expect.stringMatching(/^FALSE: A replica fails again and again\. .* ended with status 3/i) as string,
      Available: expect.stringMatching(/^FALSE: No replica that gets traffic is ready/i) as string,
    });
    expect((await cli.run(['logs', 'example/demo/quits'])).stdout).toContain('no weights found');
    expect((await call('quits')).status).toBe(503);
  });

  test('after a good one: the wait ends with a refusal, the old revision serves, and a good wish is ready again', async () => {
    await register('falls-back', 'good');
    expect(await deploy('falls-back')).toMatchObject({ code: EXIT.OK });
    await register('falls-back', 'exits');
    const { code, stderr } = await deploy('falls-back');
    expect(code).toBe(EXIT.NOT_READY);
    expect(stderr).toMatch(/example\/demo\/falls-back failed: Revision 2 was rolled back: .*ended with status 3/);
    const seen = await describeIt('falls-back');
    expect(seen).toMatchObject({
      status: { phase: 'DEGRADED' },
      revision: { number: 1 },
      replicas: [{ state: 'SERVING', restarts: 0 }],
    });
    expect(conditionsOf(seen)).toMatchObject({
      Ready: expect.stringMatching(/^FALSE: Revision 2 was rolled back/i) as string,
      Available: expect.stringMatching(/^TRUE: At least one replica serves/i) as string,
    });
    expect((await call('falls-back')).headers.get('purser-revision')).toBe('1');
    await register('falls-back', 'good');
    expect(await deploy('falls-back')).toMatchObject({ code: EXIT.OK });
    expect((await describeIt('falls-back')).status.phase).toBe('READY');
  });
});

describe('A model that leaks memory', () => {
  test('is ended at its limit and started again in its slot; why is told, and it serves in between', async () => {
    await register('leaks', 'leaks');
    expect(await deploy('leaks')).toMatchObject({ code: EXIT.OK });
    const seen = await eventually(async () => {
      const now = await describeIt('leaks');
      return (now.replicas[0]?.message ?? '').includes('more memory than its limit of 128 MiB') && now;
    }, 30_000);
    expect(seen.replicas).toMatchObject([
      { restarts: expect.any(Number) as number, state: expect.stringMatching(/UNREADY|SERVING/) as string },
    ]);
    expect(['DEGRADED', 'READY']).toContain(seen.status.phase);
    const { events } = await cli.json<{ events: { type: string; message: string }[] }>(
      'events',
      '--deployment',
      'example/demo/leaks',
      '--last',
      '100',
    );
    expect(events.some(({ type, message }) => type === 'replica.unready' && message.includes('more memory than its limit'))).toBe(
      true,
    );
    await eventually(async () => (await call('leaks')).status === 200, 30_000);
  });
});

describe('A model that answers garbage', () => {
  test('its callers get a clear 502, and as a new revision it is rolled back', async () => {
    await register('garbage', 'garbage');
    expect(await deploy('garbage')).toMatchObject({ code: EXIT.OK });
    const answer = await eventually(async () => {
      const now = await call('garbage');
      return now.status !== 503 && now;
    });
    expect(answer.status).toBe(502);
    expect(await answer.json()).toMatchObject({ error: expect.stringContaining('replica') as string });

    await register('tidy', 'good');
    expect(await deploy('tidy')).toMatchObject({ code: EXIT.OK });
    await eventually(async () => (await call('tidy')).ok);
    const headers = { authorization: `Bearer ${purser.adminToken}` };
    const load = new Load(`${purser.routerUrl}/example/demo/tidy/predict`, headers, 2);
    await register('tidy', 'garbage');
    const { code, stderr } = await deploy('tidy');
    await load.stop();
    expect(code).toBe(EXIT.NOT_READY);
    expect(stderr).toMatch(/Revision 2 was rolled back: (\d+ of \d+ requests met an error|It met \d+ errors)/);
    expect(load.failures).toEqual([]);
    expect((await call('tidy')).headers.get('purser-revision')).toBe('1');
  });
});

describe('An ONNX file that is not one', () => {
  test.each([
    ['text', Buffer.from('these are not the weights')],
    ['nothing but zeros', Buffer.alloc(4096)],
  ])('%s: its registration is refused with a sentence, and no version is made', async (_what, bytes) => {
    const file = join(folder, 'model.onnx');
    writeFileSync(file, bytes);
    await cli.run(['models', 'register', 'example/demo/nothing']);
    const refused = await cli.run(['versions', 'register', 'example/demo/nothing', '--onnx', file]);
    expect(refused.code).toBe(EXIT.REFUSED);
    expect(refused.stderr).toMatch(/^INVALID_INPUT.*ONNX/);
    expect(await cli.json('versions', 'list', 'example/demo/nothing')).toEqual([]);
  });
});
