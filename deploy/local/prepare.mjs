// Installs and builds when needed, with nothing but Node's own modules: the first thing that both README commands run.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { takeLock } from './clone-lock.mjs';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const INSTALL_STAMP = join(root, 'node_modules', '.purser-installed');
const BUILD_STAMP = join(root, 'dist', '.purser-built');
const COMMAND = join(root, 'node_modules', '.bin', 'purser');
const LOCK = join(root, '.purser-prepare.lock');
const BUILD_INPUTS = [
  'src',
  'migrations',
  'clients',
  'schema',
  'test/bench',
  'test/kubernetes/cluster',
  'test/support',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
];
/** ONNX Runtime's CPU library is in its package; its install script would fetch hundreds of megabytes for GPUs that nothing here uses. */
const INSTALL_ENVIRONMENT = { ONNXRUNTIME_NODE_INSTALL: 'skip', ONNXRUNTIME_NODE_INSTALL_CUDA: 'skip' };
/** How long an interrupted step may take to end by itself. */
const STOP_MS = 2_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Installs the lockfile and builds `dist/`, each only when its inputs changed; two at once take turns. Writes nothing when all is there. */
export async function prepare() {
  requireNode();
  if (isInstalled() && isBuilt()) return;
  await inTurn(LOCK, 'Another command installs or builds this clone; waiting for it …', async (lock) => {
    if (!isInstalled()) await install(lock);
    if (!isBuilt()) await build(lock);
  });
}

/** Runs `body` while this process alone holds the lock file of the clone. */
export async function inTurn(path, waiting, body) {
  const lock = await takeLock(path, () => say(waiting)).catch((error) => fail(sentenceOf(error)));
  try {
    await body(lock);
  } finally {
    lock.release();
  }
}

/** The project's own Node, from the lockfile. */
export const nodeBinary = () => join(root, 'node_modules', 'node', 'bin', 'node');

function requireNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) fail(`Purser needs Node 20 or newer to install itself; this is ${process.version}.`);
}

const wantedInstall = () => digest([readFileSync(join(root, 'package-lock.json')), process.platform, process.arch]);
const wantedBuild = () => digest(BUILD_INPUTS.flatMap((input) => fingerprint(join(root, input))));

const isInstalled = () => read(INSTALL_STAMP) === wantedInstall() && existsSync(nodeBinary());
const isBuilt = () => existsSync(COMMAND) && read(BUILD_STAMP) === wantedBuild();

async function install(lock) {
  const wanted = wantedInstall();
  say('Installing the dependencies (once) …');
  rmSync(INSTALL_STAMP, { force: true });
  await run(lock, 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], INSTALL_ENVIRONMENT);
  if (!existsSync(nodeBinary())) await run(lock, 'npm', ['rebuild', 'node', '--foreground-scripts'], INSTALL_ENVIRONMENT);
  if (!existsSync(nodeBinary()))
    fail('npm did not put the project\'s Node in place (package "node"): allow its install script and start again.', lock);
  writeFileSync(INSTALL_STAMP, wanted);
}

/** The stamp goes first: a build that is interrupted leaves a mixture that must not pass for what was built before. */
async function build(lock) {
  const wanted = wantedBuild();
  say('Building …');
  rmSync(BUILD_STAMP, { force: true });
  const bin = (...path) => join(root, 'node_modules', ...path);
  await run(lock, nodeBinary(), [bin('typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json']);
  await run(lock, nodeBinary(), [bin('vite', 'bin', 'vite.js'), 'build', 'clients/dashboard', '--logLevel', 'warn']);
  linkCommand();
  writeFileSync(BUILD_STAMP, wanted);
}

/** Puts `purser` beside the other commands, so that `npx purser` runs the build on the project's own Node. */
function linkCommand() {
  const script = [
    '#!/bin/sh',
    'here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)',
    'exec "$here/../node/bin/node" "$here/../../dist/src/main/purser.js" "$@"',
    '',
  ].join('\n');
  mkdirSync(dirname(COMMAND), { recursive: true });
  rmSync(COMMAND, { force: true });
  writeFileSync(COMMAND, script);
  chmodSync(COMMAND, 0o755);
}

/** Names, sizes and contents of what a build depends on; generated output is not part of it. */
function fingerprint(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path.slice(root.length), readFileSync(path)];
  const names = readdirSync(path)
    .filter((name) => name !== 'node_modules')
    .sort();
  return names.flatMap((name) => fingerprint(join(path, name)));
}

function digest(parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex');
}

/**
 * Runs a step in a process group of its own. A signal ends the whole group before it ends this process, so that nothing goes on in the clone
 * behind the next command's back.
 */
function run(lock, command, args, env = {}) {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  let interrupted = null;
  const interrupt = (signal) => {
    // npm undoes its work when it is asked to end, which takes long and helps nobody: the next start begins with a clean install.
    killGroup(child.pid, interrupted === null ? 'SIGTERM' : 'SIGKILL');
    interrupted ??= signal;
    setTimeout(() => killGroup(child.pid, 'SIGKILL'), STOP_MS).unref();
  };
  for (const signal of SIGNALS) process.on(signal, interrupt);
  if (child.pid !== undefined) lock.running(child.pid);
  return new Promise((resolve) => {
    child.once('error', (error) => fail(`${command}: ${error.message}`, lock));
    child.once('exit', (code, signal) => {
      for (const name of SIGNALS) process.off(name, interrupt);
      if (interrupted !== null) {
        killGroup(child.pid, 'SIGKILL');
        fail('Interrupted; the next start goes on from here.', lock);
      }
      if (code !== 0) fail(`${command} ${args.join(' ')} failed with ${signal ?? `status ${code}`}.`, lock);
      resolve();
    });
  });
}

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended.
  }
}

const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');

const say = (text) => process.stderr.write(`${text}\n`);

function sentenceOf(error) {
  if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code)) return error.message;
  return `There is something to install or build, and this user may not write to ${root}: run the command once as the user who owns it.`;
}

function fail(text, lock) {
  say(text);
  lock?.release();
  process.exit(1);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await prepare();
