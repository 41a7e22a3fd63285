// Whoever runs Purser and wherever the clone lies: a closed folder as root, and a runtime of an ordinary user, both real processes.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LocalCluster } from '../../src/local/local-cluster.adapter.ts';
import { usersListeningOn } from '../../src/local/processes.ts';
import { ReplicaLog } from '../../src/local/replica-log.ts';
import { runtimePaths } from '../../src/local/runtime-folder.ts';
import { isOpen, stageProgram } from '../../src/local/stage-program.ts';
import { builtEntry, builtNode, ensureBuilt } from '../support/build.ts';
import { eventually } from '../support/eventually.ts';
import { serveArtifact, workload } from '../support/local-runtime.ts';

const root = join(import.meta.dirname, '..', '..');
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
let folder: string;
const children: ChildProcess[] = [];
const servers: Server[] = [];

beforeAll(() => ensureBuilt());
afterEach(async () => {
  for (const child of children.splice(0)) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null && child.kill('SIGKILL')) await ended;
  }
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  folder = mkdtempSync(join(tmpdir(), 'purser-users-'));
  chmodSync(folder, 0o755);
  return folder;
}

describe('Local runtime: replicas as users who cannot see the clone', () => {
  test.skipIf(!isRoot)('a clone in a closed folder is copied once per version, and another user can run the copy', async () => {
    const closed = join(newFolder(), 'closed');
    mkdirSync(closed, { mode: 0o700 });
    for (const name of ['dist', 'node_modules', 'package.json']) symlinkSync(join(root, name), join(closed, name));
    const source = {
      root: closed,
      node: join(closed, 'node_modules/node/bin/node'),
      entry: join(closed, 'dist/src/main/purser.js'),
    };
    expect(isOpen(source.entry)).toBe(false);
    const programs = join(folder, 'programs');
    const [program, again] = await Promise.all([stageProgram(source, programs), stageProgram(source, programs)]);
    expect(again).toEqual(program);
    const model = join(root, 'deploy/example/digits/digits.onnx');
    const portFile = join(folder, 'private', 'port');
    mkdirSync(join(folder, 'private'));
    chownSync(join(folder, 'private'), NOBODY, NOBODY);
    const child = spawn(program.node, [program.entry, 'model-server', '--model', model, '--port-file', portFile], {
      ...{ uid: NOBODY, gid: NOBODY, cwd: '/' },
      env: { ORT_DISABLE_TELEMETRY: '1' },
    });
    children.push(child);
    const port = await eventually(() => readFileSync(portFile, 'utf8'));
    expect((await fetch(`http://127.0.0.1:${port}/v2/health/ready`)).status).toBe(200);
  });

  test.skipIf(!isRoot)('as an ordinary user it serves one team and says so to a second', async () => {
    const dataDir = newFolder();
    chownSync(dataDir, NOBODY, NOBODY);
    const env = { PURSER_DATA_DIR: dataDir, PURSER_LOG_LEVEL: 'warn', PATH: process.env.PATH };
    children.push(spawn(builtNode, [builtEntry, 'runtime'], { uid: NOBODY, gid: NOBODY, cwd: '/', env }));
    const cluster = new LocalCluster({ socket: runtimePaths(dataDir, false).socket });
    expect(await eventually(() => cluster.info())).toMatchObject({ user: 'own' });
    const source = await serveArtifact();
    expect(await cluster.apply(workload(source.runtime), { epoch: 1 })).toEqual({ outcome: 'applied' });
    await eventually(async () => (await cluster.observe()).replicas.some((replica) => replica.state === 'serving'), 20_000);
    const foreign = workload(source.runtime, { teamId: '00000000-0000-4000-8000-000000000002' });
    expect(await cluster.apply(foreign, { epoch: 1 })).toMatchObject({ outcome: 'refused', reason: 'ONE_TEAM_ONLY' });
    source.close();
    await cluster.shutdown({ andReplicas: true });
  });
});

describe('Local runtime: whose port it is', () => {
  const listenOn = async (port: number, host: string): Promise<AddressInfo> => {
    const server = createServer();
    servers.push(server);
    server.listen(port, host);
    await once(server, 'listening');
    return server.address() as AddressInfo;
  };

  test.skipIf(!isRoot)('whoever takes a connection to it, not who holds the same port of another address', async () => {
    newFolder();
    const { port } = await listenOn(0, '127.0.0.1');
    const stranger = spawn(
      builtNode,
      ['-e', `require('net').createServer().listen(${port}, '127.0.0.2', () => console.log('up'))`],
      {
        ...{ uid: NOBODY, gid: NOBODY, cwd: '/' },
      },
    );
    children.push(stranger);
    await once(stranger.stdout, 'data');
    expect(usersListeningOn(port)).toEqual([0]);
    const everywhere = await listenOn(0, '0.0.0.0');
    expect(usersListeningOn(everywhere.port)).toEqual([0]);
  });
});

describe('Local runtime: logs are turned over by size', () => {
  test('the cursor goes on across a turn, and the older file is kept', () => {
    const log = new ReplicaLog(newFolder());
    const write = (text: string) => writeFileSync(join(folder, 'stdout.log'), text, { flag: 'a' });
    write('one\ntwo\n');
    const first = log.page({ cursor: null, limit: 10 }, 1);
    expect(first.lines).toEqual([
      { at: 1, stream: 'stdout', text: 'one' },
      { at: 1, stream: 'stdout', text: 'two' },
    ]);
    log.watch(2, 5);
    write('three\nnot yet whole');
    const second = log.page({ cursor: first.cursor, limit: 10 }, 3);
    expect(second.lines).toEqual([{ at: 3, stream: 'stdout', text: 'three' }]);
    expect(readFileSync(join(folder, 'stdout.log.1'), 'utf8')).toBe('one\ntwo\n');
    expect(log.page({ cursor: second.cursor, limit: 10 }, 4)).toEqual({ lines: [], cursor: second.cursor });
    truncateSync(join(folder, 'stdout.log'), 0);
    expect(log.page({ cursor: second.cursor, limit: 10 }, 5).lines).toEqual([]);
  });

  test('a reader who comes late, or for the first time after a turn, reads the older file too, a line cut by the turn included', () => {
    const log = new ReplicaLog(newFolder());
    const write = (text: string) => writeFileSync(join(folder, 'stdout.log'), text, { flag: 'a' });
    const textsOf = (cursor: string | null, limit = 10) => log.page({ cursor, limit }, 9).lines.map(({ text }) => text);
    write('one\n');
    const { cursor } = log.page({ cursor: null, limit: 10 }, 1);
    write('two\ncut in ');
    log.watch(2, 5);
    write('half\nlast\n');
    expect(textsOf(cursor)).toEqual(['two', 'cut in half', 'last']);
    expect(textsOf(null)).toEqual(['one', 'two', 'cut in half', 'last']);
    const page = log.page({ cursor, limit: 2 }, 9);
    expect(textsOf(page.cursor)).toEqual(['last']);
    log.watch(3, 5);
    write('after a second turn\n');
    expect(textsOf(page.cursor)).toEqual(['last', 'after a second turn']);
    expect(textsOf('0-0')).toEqual(['half', 'last', 'after a second turn']);
  });

  test('of a flood only the end is kept, and the turn does not wait for the flood to stop', () => {
    const log = new ReplicaLog(newFolder());
    const file = join(folder, 'stdout.log');
    writeFileSync(file, '');
    truncateSync(file, 400 * 1024 * 1024);
    writeFileSync(file, '\nthe last of the flood\n', { flag: 'a' });
    log.watch(1);
    expect(statSync(`${file}.1`).size).toBeLessThanOrEqual(96 * 1024 * 1024);
    expect(statSync(file).size).toBe(0);
    writeFileSync(file, 'after it\n', { flag: 'a' });
    const { lines, cursor } = log.page({ cursor: null, limit: 2 }, 2);
    expect(lines.map(({ text }) => text)).toEqual(['the last of the flood', 'after it']);
    writeFileSync(file, 'later\n', { flag: 'a' });
    expect(log.page({ cursor, limit: 2 }, 3).lines.map(({ text }) => text)).toEqual(['later']);
  });

  test('a page holds at most what was asked for, and the next goes on there', () => {
    const log = new ReplicaLog(newFolder());
    writeFileSync(join(folder, 'stderr.log'), 'a\nb\nc\n');
    expect(log.page({ cursor: null, limit: 2 }, 1).lines.map((line) => line.text)).toEqual(['b', 'c']);
    const first = log.page({ cursor: '0-0', limit: 2 }, 1);
    expect(first.lines.map((line) => line.text)).toEqual(['a', 'b']);
    expect(log.page({ cursor: first.cursor, limit: 2 }, 1).lines.map((line) => line.text)).toEqual(['c']);
  });
});

describe('Model server: its process', () => {
  test('a file that is not a model ends it with one clear sentence', () => {
    const args = [builtEntry, 'model-server', '--model', join(root, 'package.json')];
    const { status, stderr } = spawnSync(builtNode, args, { encoding: 'utf8', env: { ORT_DISABLE_TELEMETRY: '1' } });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^purser: .*is not an ONNX model that can run here/);
  });
});
