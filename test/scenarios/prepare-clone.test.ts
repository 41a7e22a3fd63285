// Runs the real installer in a made-up clone whose npm, compiler and bundler are small scripts that wait until they are told to go on.
import { spawn, type ChildProcess } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';

const repository = join(import.meta.dirname, '..', '..');
/** Debian's `nobody`: a user that exists everywhere and owns nothing. */
const ORDINARY_UID = 65_534;
const asRoot = process.getuid?.() === 0;

let clone: string;

beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), 'purser-clone-'));
  chmodSync(clone, 0o755);
  cpSync(join(repository, 'deploy', 'local'), join(clone, 'deploy', 'local'), { recursive: true });
  for (const folder of ['bin', 'src', 'steps']) mkdirSync(join(clone, folder));
  writeFileSync(join(clone, 'package-lock.json'), '{}');
  writeFileSync(join(clone, 'src', 'a.ts'), 'one');
  program('bin/npm', `${step('install')}${PACKAGES}`);
});
afterEach(() => rmSync(clone, { recursive: true, force: true }));

function program(path: string, body: string): void {
  writeFileSync(join(clone, path), `#!${process.execPath}\n${body}`);
  chmodSync(join(clone, path), 0o755);
}

/** Says that it began, waits for the file `go-<name>`, says that it ended. */
const step = (name: string) => `
  const fs = require('fs');
  fs.appendFileSync('steps/log', '${name} begins ' + process.pid + '\\n');
  while (!fs.existsSync('steps/go-${name}')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  fs.appendFileSync('steps/log', '${name} ends\\n');
`;

/** What an install brings: the project's Node, a compiler that writes \`dist/\` from the source, a bundler. */
const PACKAGES = `
  fs.mkdirSync('node_modules/node/bin', { recursive: true });
  fs.rmSync('node_modules/node/bin/node', { force: true });
  fs.symlinkSync(process.execPath, 'node_modules/node/bin/node');
  fs.mkdirSync('node_modules/typescript/bin', { recursive: true });
  fs.writeFileSync('node_modules/typescript/bin/tsc', ${JSON.stringify(`
    require('fs').mkdirSync('dist', { recursive: true });
    require('fs').copyFileSync('src/a.ts', 'dist/a.js');
    ${step('build').replace('const fs =', 'var fs =')}`)});
  fs.mkdirSync('node_modules/vite/bin', { recursive: true });
  fs.writeFileSync('node_modules/vite/bin/vite.js', '');
`;

const go = (...names: string[]) => names.forEach((name) => writeFileSync(join(clone, 'steps', `go-${name}`), ''));
const hold = (name: string) => rmSync(join(clone, 'steps', `go-${name}`));
const log = () => (existsSync(join(clone, 'steps', 'log')) ? readFileSync(join(clone, 'steps', 'log'), 'utf8') : '');
const steps = () =>
  log()
    .trim()
    .split('\n')
    .map((line) => line.replace(/ \d+$/, ''));
const began = (name: string, times = 1) => eventually(() => log().split(`${name} begins`).length > times);
const pidOfStep = () => Number(/begins (\d+)\n$/.exec(log())?.[1]);

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly told: string }>;
  told(): string;
}

function prepare(user: { uid?: number } = {}): Run {
  const child = spawn(process.execPath, [join(clone, 'deploy', 'local', 'prepare.mjs')], {
    env: { ...process.env, PATH: `${join(clone, 'bin')}:${process.env.PATH ?? ''}` },
    stdio: ['ignore', 'ignore', 'pipe'],
    ...user,
  });
  let told = '';
  child.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
  const ended = new Promise<{ code: number | null; told: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, told })),
  );
  return { child, ended, told: () => told };
}

const isAlive = (pid: number) => existsSync(`/proc/${pid}`) && !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

describe('Two commands: install and build', () => {
  test('happen once, however many start at once, and not again while nothing changed', async () => {
    const first = prepare();
    await began('install');
    const second = prepare();
    await eventually(() => second.told().includes('waiting'));
    go('install', 'build');
    expect((await Promise.all([first.ended, second.ended])).map(({ code }) => code)).toEqual([0, 0]);
    expect((await prepare().ended).told).toBe('');
    expect(steps()).toEqual(['install begins', 'install ends', 'build begins', 'build ends']);
    expect(existsSync(join(clone, 'node_modules', '.bin', 'purser'))).toBe(true);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s ends what runs, and the next start goes on', async (signal) => {
    const interrupted = prepare();
    await began('install');
    const step = pidOfStep();
    interrupted.child.kill(signal);
    const { code, told } = await interrupted.ended;
    expect([code, told]).toEqual([1, expect.stringContaining('Interrupted')]);
    expect(isAlive(step)).toBe(false);
    go('install', 'build');
    expect((await prepare().ended).code).toBe(0);
    expect(steps()).toEqual(['install begins', 'install begins', 'install ends', 'build begins', 'build ends']);
  });

  test('one that was killed leaves its install behind: the next waits for it, then installs anew', async () => {
    const killed = prepare();
    await began('install');
    killed.child.kill('SIGKILL');
    // What it started still holds its output open, so that it only exits.
    await eventually(() => killed.child.signalCode !== null);
    const next = prepare();
    await eventually(() => next.told().includes('waiting'));
    expect(steps()).toEqual(['install begins']);
    go('install', 'build');
    expect((await next.ended).code).toBe(0);
    expect(steps().slice(0, 4)).toEqual(['install begins', 'install ends', 'install begins', 'install ends']);
  });

  test('a build that was interrupted does not pass for the one before, even if its sources come back', async () => {
    go('install', 'build');
    await prepare().ended;
    hold('build');
    writeFileSync(join(clone, 'src', 'a.ts'), 'two');
    const interrupted = prepare();
    await began('build', 2);
    interrupted.child.kill('SIGINT');
    await interrupted.ended;
    writeFileSync(join(clone, 'src', 'a.ts'), 'one');
    go('build');
    expect((await prepare().ended).code).toBe(0);
    expect(readFileSync(join(clone, 'dist', 'a.js'), 'utf8')).toBe('one');
  });

  test('a folder of packages that was deleted is installed again, with the command in it', async () => {
    go('install', 'build');
    await prepare().ended;
    rmSync(join(clone, 'node_modules'), { recursive: true });
    expect((await prepare().ended).code).toBe(0);
    expect(existsSync(join(clone, 'node_modules', '.bin', 'purser'))).toBe(true);
  });

  test.skipIf(!asRoot)(
    'a user who may not write to the clone can use it, and is told when there is something to do',
    async () => {
      go('install', 'build');
      await prepare().ended;
      expect(await prepare({ uid: ORDINARY_UID }).ended).toEqual({ code: 0, told: '' });
      appendFileSync(join(clone, 'src', 'a.ts'), 'more');
      const { code, told } = await prepare({ uid: ORDINARY_UID }).ended;
      expect(code).toBe(1);
      expect(told.trim()).toMatch(
        /^There is something to install or build, and this user may not write to .*: run the command once as the user who owns it\.$/,
      );
    },
  );
});
