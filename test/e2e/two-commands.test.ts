// Starts the built product as a user does, on free ports and a folder of its own, and looks at it from outside only.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAlive } from '../../src/persistence/process-identity.ts';
import { eventually } from '../support/eventually.ts';
import { change, DIGITS } from '../support/live-system.ts';
import { freePorts, removeData, startInstallation, type Installation } from '../support/installation.ts';

const root = join(import.meta.dirname, '..', '..');
/** Debian's `nobody`: a user that exists everywhere and owns nothing. */
const ORDINARY_UID = 65_534;
const asRoot = process.getuid?.() === 0;
const [EXAMPLE] = JSON.parse(readFileSync(join(root, 'deploy/example/digits/cases.json'), 'utf8')) as { input: number[] }[];
const REQUEST = JSON.stringify({ inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 64], data: EXAMPLE!.input }] });
let purser: Installation;

beforeAll(async () => {
  purser = await startInstallation();
});
afterAll(() => purser.remove());

/** A start that ends by itself: its status and what it told. */
function start(settings: NodeJS.ProcessEnv, user: { uid?: number } = {}): { status: number | null; told: string } {
  const { status, stderr } = spawnSync(join(root, 'node_modules/node/bin/node'), [join(root, 'dist/src/main/purser.js'), 'up'], {
    env: { ...process.env, ...settings },
    encoding: 'utf8',
    timeout: 60_000,
    ...user,
  });
  return { status, told: stderr.trim() };
}

/** Whatever still runs with this data folder in its environment or its arguments. */
function processesOf(dataDir: string): readonly number[] {
  const told = (pid: string, file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(dataDir);
    } catch {
      return false;
    }
  };
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => told(pid, 'environ') || told(pid, 'cmdline')).map(Number);
}

/** One that was ended may still be waiting for its restart. */
const pidOf = (name: 'serve' | 'router') => eventually(() => purser.pidOf(name));

/** A folder beside the installation's that goes with it. */
const folderOf = (name: string) => join(purser.dataDir, 'other', name);

/** The status of one request to the example. */
async function ask({ routerUrl, adminToken }: Installation): Promise<number> {
  const response = await fetch(`${routerUrl}/example/demo/digits/v2/models/digits/infer`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: REQUEST,
  });
  await response.arrayBuffer();
  return response.status;
}

/** The shell commands that the start printed, by the word that they contain. */
function printedCommand(word: string): string {
  const commands = purser.printed
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim().startsWith('curl'));
  return commands.find((line) => line.includes(word))!.trim();
}

describe('Two commands: npm start', () => {
  test('prints what the requests cost, and the model answered right', () => {
    expect(purser.printed).toMatch(/example\/demo\/digits answered 5 requests, 5 of them right/);
    expect(purser.printed).toMatch(/They cost \$0\.\d+/);
  });

  test('the admin token is in a file that only its owner can read', () => {
    expect(statSync(join(purser.dataDir, 'admin-token')).mode & 0o777).toBe(0o600);
    expect(purser.adminToken).toMatch(/^purser_admin_/);
  });

  test('the printed line for inference works in a shell', () => {
    const answer = JSON.parse(execFileSync('sh', ['-c', printedCommand('/infer')], { encoding: 'utf8' })) as {
      outputs: unknown[];
    };
    expect(answer.outputs.length).toBeGreaterThan(0);
  });

  test('the printed line for GraphQL works in a shell', () => {
    const answer = execFileSync('sh', ['-c', printedCommand('/graphql')], { encoding: 'utf8' });
    expect(JSON.parse(answer)).toMatchObject({
      data: { deployments: { nodes: [{ path: 'example/demo/digits', status: { phase: 'READY' } }] } },
    });
  });

  test.each([
    ['PURSER_PORT', 'the API'],
    ['PURSER_ROUTER_PORT', 'the router'],
    ['PURSER_LINK_PORT', 'the router link'],
  ])('another copy that finds %s in use says so in one sentence', async (variable, what) => {
    const second = start({ ...(await freePorts()), PURSER_DATA_DIR: folderOf('second'), [variable]: purser.env[variable] });
    expect(second).toEqual({
      status: 1,
      told: `purser: Port ${purser.env[variable]!} for ${what} is in use: stop what listens there or set ${variable} to another port.`,
    });
  });

  test('a second start in the same data folder says who is there, and harms nothing', async () => {
    const second = start({ ...(await freePorts()), PURSER_DATA_DIR: purser.dataDir });
    expect(second.status).toBe(1);
    expect(second.told).toMatch(/^purser: Purser already runs in .+ \(process \d+\): use that one or stop it, .*\.$/);
    expect(await ask(purser)).toBe(200);
  });

  test.each<[string, () => string]>([
    ['is a file', () => join(import.meta.dirname, 'two-commands.test.ts')],
    ['lies in a file', () => join(import.meta.dirname, 'two-commands.test.ts', 'data')],
    ['has a name that is too long', () => join(folderOf('long'), 'x'.repeat(300))],
  ])('a data folder that %s is one clear sentence', async (_what, folder) => {
    const { status, told } = start({ ...(await freePorts()), PURSER_DATA_DIR: folder() });
    expect(status).toBe(1);
    expect(told).toMatch(
      /^purser: The data folder .+ cannot be used, because .*: set PURSER_DATA_DIR to a folder of this user, .*\.$/,
    );
  });

  test.skipIf(!asRoot)('a data folder of somebody else is one clear sentence', async () => {
    const ports = await freePorts();
    const { status, told } = start({ ...ports, PURSER_DATA_DIR: purser.dataDir }, { uid: ORDINARY_UID });
    expect(status).toBe(1);
    expect(told).toMatch(
      /^purser: The data folder .+ cannot be used, because this user may not write to it: set PURSER_DATA_DIR /,
    );
  });

  test.each<[string, (dataDir: string) => boolean]>([
    ['at once', (dataDir) => existsSync(join(dataDir, 'supervisor.pid'))],
    ['while the control plane starts', (dataDir) => existsSync(join(dataDir, 'admin-token'))],
    ['while the router starts', (dataDir) => existsSync(join(dataDir, 'router-router'))],
  ])('Ctrl-C %s ends the start and leaves nothing behind', async (_when, reached) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'purser-e2e-'));
    const env = { ...process.env, ...(await freePorts()), PURSER_DATA_DIR: dataDir };
    const child = spawn(join(root, 'node_modules/node/bin/node'), [join(root, 'dist/src/main/purser.js'), 'up'], {
      env,
      stdio: 'ignore',
    });
    await eventually(() => reached(dataDir), 60_000);
    child.kill('SIGINT');
    await eventually(() => child.exitCode !== null || child.signalCode !== null, 60_000);
    await eventually(() => processesOf(dataDir).length === 0);
    removeData(dataDir);
  });

  test('no request fails while the control plane is killed', async () => {
    const before = await pidOf('serve');
    const statuses: number[] = [];
    for (let i = 0; i < 200; i += 1) {
      if (i === 50) process.kill(before, 'SIGKILL');
      statuses.push(await ask(purser));
    }
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
  });

  test.skipIf(!asRoot)('an ordinary user can start another copy beside it', async () => {
    const other = await startInstallation({ uid: ORDINARY_UID });
    expect(other.printed).toMatch(/5 of them right/);
    await other.remove();
  });

  test('after the supervisor was killed, all serves on, and the next start takes over', async () => {
    const left = { serve: await pidOf('serve'), router: await pidOf('router') };
    process.kill(purser.pid, 'SIGKILL');
    expect(await ask(purser)).toBe(200);
    purser = await startInstallation({ like: purser });
    expect(purser.printed).toMatch(/5 of them right/);
    expect([left.serve, left.router].filter(isAlive)).toEqual([]);
  });

  test('an administrator who has lost the token gets one by a restart', async () => {
    const file = join(purser.dataDir, 'admin-token');
    rmSync(file);
    process.kill(await pidOf('serve'), 'SIGTERM');
    await eventually(() => statSync(file).mode % 0o1000 === 0o600, 30_000);
    const adminToken = readFileSync(file, 'utf8').trim();
    expect(adminToken).not.toBe(purser.adminToken);
    await eventually(async () => (await ask({ ...purser, adminToken })) === 200, 30_000);
  });

  test('Ctrl-C stops everything, and the next start goes on where it was', async () => {
    expect(await purser.stop()).toBe(0);
    purser = await startInstallation({ like: purser });
    expect(purser.printed).toMatch(/5 of them right/);
  });

  test('a start whose example cannot be brought up says why, and serves', async () => {
    const quota = `mutation { setQuota(input: { team: { path: "example" }, resource: REPLICAS, maximum: "0" }) { userErrors { code message } } }`;
    const gone = `mutation { deleteDeployment(input: { deployment: { path: "${DIGITS}" } }) { userErrors { code message } } }`;
    await change(purser, quota);
    await change(purser, gone);
    await purser.stop();
    purser = await startInstallation({ like: purser });
    expect(purser.printed).toMatch(/The example did not answer: .*replicas/);
    expect((await fetch(`${purser.apiUrl}/readyz`)).status).toBe(200);
  });
});
