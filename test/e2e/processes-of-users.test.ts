// A whole installation that runs users' own commands: versions that fail in every way, and one that looks for other people's secrets.
import { readFileSync, readdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runtimePaths } from '../../src/local/runtime-folder.ts';
import { pidOf } from '../../src/persistence/postgres-server.ts';
import { builtNode } from '../support/build.ts';
import { eventually } from '../support/eventually.ts';
import { databaseFolder, startInstallation, type Installation } from '../support/installation.ts';
import { change, deployVersion, look, untilReady, DIGITS } from '../support/live-system.ts';
import { Load } from '../support/load.ts';

let purser: Installation;

beforeAll(async () => {
  purser = await startInstallation({ env: { PURSER_ALLOW_PROCESS: '1' } });
});
afterAll(() => purser.remove());

const REGISTER = `mutation ($project: String!, $name: String!) { registerModel(input: { project: { path: $project }, name: $name })
  { model { name } userErrors { code message } } }`;
const VERSION = `mutation ($input: RegisterModelVersionInput!) { registerModelVersion(input: $input) { modelVersion { number } userErrors { code message } } }`;

/** Registers a version that runs a script; it is told PORT, and `http` is there. */
async function registerScript(model: string, script: string, environment: Record<string, string> = {}): Promise<number> {
  const variables = Object.entries(environment).map(([name, value]) => ({ name, value }));
  const command = [builtNode, '-e', `const http = require('http'); process.on('SIGTERM', () => process.exit(0)); ${script}`];
  const process_ = { command, healthPath: '/health', protocol: 'HTTP', environment: variables };
  const resources = { cpuMilli: 100, memoryMib: 128 };
  const { modelVersion } = await change<{ modelVersion: { number: number } }>(purser, VERSION, {
    input: { model: { path: model }, process: process_, resources },
  });
  return modelVersion.number;
}

const answering = (status: number) =>
  `http.createServer((q, s) => { q.resume(); s.statusCode = q.url === '/health' ? 200 : ${status}; s.end('{}'); }).listen(process.env.PORT, '127.0.0.1');`;

const callPlain = () =>
  new Load(`${purser.routerUrl}/example/demo/plain/anything`, { authorization: `Bearer ${purser.adminToken}` }, 2);

const PLAIN = 'example/demo/plain';
const deployPlain = (modelVersion: number) =>
  deployVersion(purser, {
    project: { path: 'example/demo' },
    name: 'plain',
    model: 'plain',
    modelVersion,
    maxReplicas: 4,
    retryable: true,
  });

const untilRolledBack = () =>
  eventually(async () => {
    const seen = await look(purser, PLAIN);
    return seen.rollout?.state === 'ROLLED_BACK' && seen.replicas.length === 1 && seen;
  }, 90_000);

describe('Rollout: a new revision that fails is rolled back while traffic goes on', () => {
  test('a new revision takes over without one request lost', async () => {
    await change(purser, REGISTER, { project: 'example/demo', name: 'plain' });
    await deployPlain(await registerScript(PLAIN, answering(200)));
    await untilReady(purser, PLAIN);
    await eventually(
      async () =>
        (await fetch(`${purser.routerUrl}/${PLAIN}/x`, { headers: { authorization: `Bearer ${purser.adminToken}` } })).ok,
    );
    const load = callPlain();
    await deployPlain(await registerScript(PLAIN, answering(200)));
    await eventually(async () => (await look(purser, PLAIN)).rollout?.state === 'DONE', 60_000);
    await load.stop();
    expect(load.failed).toEqual([]);
    expect(new Set(load.answers.map(({ revision }) => revision))).toEqual(new Set(['1', '2']));
  });

  test('one that exits at once: no request meets it', async () => {
    const load = callPlain();
    await deployPlain(await registerScript(PLAIN, 'process.exit(3);'));
    const seen = await untilRolledBack();
    await load.stop();
    expect(load.failed).toEqual([]);
    expect(new Set(load.answers.map(({ revision }) => revision))).toEqual(new Set(['2']));
    expect(seen).toMatchObject({ revision: { number: 2 }, replicas: [{ state: 'SERVING', restarts: 0 }] });
    expect(seen.rollout?.reason).toMatch(/\S/);
  });

  test('one that is ready but answers every request with an error: only the first step meets it', async () => {
    const load = callPlain();
    await deployPlain(await registerScript(PLAIN, answering(500)));
    await untilRolledBack();
    const meanwhile = load.answers.length;
    await load.stop();
    expect(load.failures).toEqual([]);
    const bad = load.answers.filter(({ status }) => status !== 200);
    expect(bad.every(({ revision }) => revision === '4')).toBe(true);
    expect(bad.length).toBeLessThan(meanwhile / 4);
  });
});

/** Reads, lists, connects and signals whatever it is told to, and tells how each try ended. */
const SPY = `
  const fs = require('fs'), net = require('net');
  const attempt = (body) => { try { body(); return 'open'; } catch (error) { return error.code; } };
  const connect = (path) => new Promise((resolve) => { const c = net.connect(path, () => { c.destroy(); resolve('open'); }); c.on('error', (e) => resolve(e.code)); });
  http.createServer(async (q, s) => {
    if (q.url === '/health') return s.end();
    const { read, list, sockets, processes } = JSON.parse(process.env.TARGETS);
    s.end(JSON.stringify({
      uid: process.getuid(), groups: process.getgroups(), environment: Object.keys(process.env).sort(),
      read: Object.fromEntries(read.map((path) => [path, attempt(() => fs.readFileSync(path))])),
      list: Object.fromEntries(list.map((path) => [path, attempt(() => fs.readdirSync(path))])),
      sockets: Object.fromEntries(await Promise.all(sockets.map(async (path) => [path, await connect(path)]))),
      environ: processes.map((pid) => attempt(() => fs.readFileSync('/proc/' + pid + '/environ'))),
      memory: processes.map((pid) => attempt(() => fs.openSync('/proc/' + pid + '/mem', 'r'))),
      files: processes.map((pid) => attempt(() => fs.readdirSync('/proc/' + pid + '/fd'))),
      signal: processes.map((pid) => attempt(() => process.kill(pid, 0))),
      write: ['/var/lib/purser', '/etc', process.env.HOME + '/..'].map((path) => attempt(() => fs.writeFileSync(path + '/spy', ''))),
      root: attempt(() => process.setuid(0)),
    }));
  }).listen(process.env.PORT, '127.0.0.1');`;

/** Everything of the installation that a replica must not reach. */
async function secretsOf() {
  const runtime = join(purser.dataDir, 'runtime');
  const database = databaseFolder(purser.dataDir);
  const [record] = readdirSync(join(runtime, 'replicas'))
    .map((name) => JSON.parse(readFileSync(join(runtime, 'replicas', name), 'utf8')) as ReplicaFile)
    .filter(({ spec }) => spec.path === DIGITS);
  const home = join(runtimePaths(purser.dataDir, true).homes, record?.replicaId ?? '');
  const runtimePid = (JSON.parse(readFileSync(join(runtime, 'runtime.pid'), 'utf8')) as { pid: number }).pid;
  return {
    read: [
      join(purser.dataDir, 'admin-token'),
      join(purser.dataDir, 'router-token'),
      join(home, 'model.onnx'),
      join(database, 'data', 'PG_VERSION'),
      '/var/lib/purser/project-users.json',
      '/etc/shadow',
    ],
    list: [
      purser.dataDir,
      join(purser.dataDir, 'artifacts'),
      join(purser.dataDir, 'logs'),
      runtime,
      home,
      join(home, '..'),
      join(database, 'data'),
    ],
    sockets: [join(database, 'run', '.s.PGSQL.5432'), join(runtime, 'socket')],
    processes: [purser.pidOf('serve'), purser.pidOf('router'), runtimePid, await pidOf(database), record?.process.pid],
  };
}

/** All that a process of a user is told; the rest of the control plane's environment stays with it. */
const ALLOWED = new Set(
  'PATH LANG ORT_DISABLE_TELEMETRY HOME TMPDIR HOST PORT TARGETS PURSER_MODEL_NAME PURSER_MODEL_VERSION PURSER_REPLICA PURSER_REPLICA_NONCE'.split(
    ' ',
  ),
);

interface ReplicaFile {
  readonly replicaId: string;
  readonly spec: { readonly path: string };
  readonly process: { readonly pid: number };
}

interface Report
  extends
    Record<'read' | 'list' | 'sockets', Record<string, string>>,
    Record<'environ' | 'memory' | 'files' | 'signal' | 'write', string[]> {
  readonly uid: number;
  readonly groups: readonly number[];
  readonly environment: readonly string[];
  readonly root: string;
}

describe('Tenancy: a command of one team that looks for what belongs to others', () => {
  test.skipIf(process.getuid?.() !== 0)('reaches no token, socket, artifact, process or folder that is not its own', async () => {
    await change(purser, `mutation { createTeam(input: { name: "spies" }) { userErrors { code message } } }`);
    await change(
      purser,
      `mutation { createProject(input: { team: { path: "spies" }, name: "den" }) { userErrors { code message } } }`,
    );
    await change(purser, REGISTER, { project: 'spies/den', name: 'spy' });
    const secrets = await secretsOf();
    const modelVersion = await registerScript('spies/den/spy', SPY, { TARGETS: JSON.stringify(secrets) });
    await deployVersion(purser, { project: { path: 'spies/den' }, name: 'spy', model: 'spy', modelVersion });
    await untilReady(purser, 'spies/den/spy');
    const report = await eventually(async () => {
      const answer = await fetch(`${purser.routerUrl}/spies/den/spy/report`, {
        headers: { authorization: `Bearer ${purser.adminToken}` },
      });
      return answer.ok && ((await answer.json()) as Report);
    });
    const all = (paths: readonly string[]) => Object.fromEntries(paths.map((path) => [path, 'EACCES']));
    expect(report.read).toEqual(all(secrets.read));
    expect(report.list).toEqual(all(secrets.list));
    expect(report.sockets).toEqual(all(secrets.sockets));
    const refused = (tries: readonly string[]) => tries.filter((code) => !['EACCES', 'EPERM'].includes(code));
    expect(
      refused([...report.environ, ...report.memory, ...report.files, ...report.signal, ...report.write, report.root]),
    ).toEqual([]);
    expect(secrets.processes.every((pid) => typeof pid === 'number' && pid > 0)).toBe(true);
    expect(report.uid).toBeGreaterThan(100_000);
    expect(report.groups).toEqual([report.uid]);
    expect(report.environment.filter((name) => !ALLOWED.has(name))).toEqual([]);
  });

  test('a command that opens the other listeners without a token learns nothing', async () => {
    for (const [port, path] of [
      [purser.env.PURSER_LINK_PORT, '/link/v1/table'],
      [purser.env.PURSER_PORT, '/graphql?query={deployments{nodes{path}}}'],
    ] as const) {
      expect({ path, status: await statusOf(`http://127.0.0.1:${port ?? ''}${path}`) }).toEqual({ path, status: 401 });
    }
    // Whoever is on this machine may read the metrics; they count, and name nobody.
    const metrics = await (await fetch(`http://127.0.0.1:${purser.env.PURSER_LINK_PORT ?? ''}/metrics`)).text();
    expect(metrics).toContain('purser_usage_rows_total');
    expect(metrics).toMatch(/^purser_replicas\{state="serving",cluster="local"\} [1-9]/m);
    expect(metrics).toMatch(/^purser_rollouts_total\{outcome="rolled_back"\} 2$/m);
    expect(metrics).not.toMatch(/example|digits|spies/);
  });
});

const statusOf = (url: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request(url, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .once('error', reject)
      .end();
  });
