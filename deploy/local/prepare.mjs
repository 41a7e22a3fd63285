// Installs and builds when needed, with nothing but Node's own modules: the first thing that both README commands run.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync, chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const INSTALL_STAMP = join(root, 'node_modules', '.purser-installed');
const BUILD_STAMP = join(root, 'dist', '.purser-built');
const LOCK = join(root, '.purser-prepare.lock');
const BUILD_INPUTS = ['src', 'migrations', 'clients', 'schema', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
/** ONNX Runtime's CPU library is in its package; its install script would fetch hundreds of megabytes for GPUs that nothing here uses. */
const INSTALL_ENVIRONMENT = { ONNXRUNTIME_NODE_INSTALL: 'skip', ONNXRUNTIME_NODE_INSTALL_CUDA: 'skip' };

/** Installs the lockfile and builds `dist/`, each only when its inputs changed; two at once take turns. */
export function prepare() {
  requireNode();
  withLock(() => {
    install();
    build();
  });
}

/** The project's own Node, from the lockfile. */
export const nodeBinary = () => join(root, 'node_modules', 'node', 'bin', 'node');

function requireNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) fail(`Purser needs Node 20 or newer to install itself; this is ${process.version}.`);
}

function install() {
  const wanted = digest([readFileSync(join(root, 'package-lock.json')), process.platform, process.arch]);
  if (read(INSTALL_STAMP) === wanted) return;
  say('Installing the dependencies (once) …');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], INSTALL_ENVIRONMENT);
  if (!existsSync(nodeBinary())) run('npm', ['rebuild', 'node', '--foreground-scripts'], INSTALL_ENVIRONMENT);
  writeFileSync(INSTALL_STAMP, wanted);
}

function build() {
  const wanted = digest(BUILD_INPUTS.flatMap((input) => fingerprint(join(root, input))));
  if (read(BUILD_STAMP) === wanted) return;
  say('Building …');
  run(nodeBinary(), [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json']);
  run(nodeBinary(), [join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build', 'clients/dashboard', '--logLevel', 'warn']);
  linkCommand();
  writeFileSync(BUILD_STAMP, wanted);
}

/** Puts `purser` beside the other commands, so that `npx purser` runs the build on the project's own Node. */
function linkCommand() {
  const command = join(root, 'node_modules', '.bin', 'purser');
  const script = [
    '#!/bin/sh',
    'here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)',
    'exec "$here/../node/bin/node" "$here/../../dist/src/main/purser.js" "$@"',
    '',
  ].join('\n');
  rmSync(command, { force: true });
  writeFileSync(command, script);
  chmodSync(command, 0o755);
}

/** Names, sizes and contents of what a build depends on; generated output is not part of it. */
function fingerprint(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path.slice(root.length), readFileSync(path)];
  const names = readdirSync(path).filter((name) => name !== 'node_modules').sort();
  return names.flatMap((name) => fingerprint(join(path, name)));
}

function digest(parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex');
}

function withLock(body) {
  const deadline = Date.now() + 15 * 60_000;
  while (!tryLock()) {
    if (Date.now() > deadline) fail(`Another install or build holds ${LOCK}; remove it if that is not so.`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
  try {
    body();
  } finally {
    rmSync(LOCK, { recursive: true, force: true });
  }
}

function tryLock() {
  try {
    mkdirSync(LOCK);
    writeFileSync(join(LOCK, 'pid'), String(process.pid));
    return true;
  } catch {
    const holder = Number(read(join(LOCK, 'pid')));
    if (holder && !alive(holder)) rmSync(LOCK, { recursive: true, force: true });
    return false;
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) fail(`${command}: ${error.message}`);
  if (status !== 0) fail(`${command} ${args.join(' ')} failed with status ${status}.`);
}

const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');

const say = (text) => process.stderr.write(`${text}\n`);

function fail(text) {
  say(text);
  rmSync(LOCK, { recursive: true, force: true });
  process.exit(1);
}
