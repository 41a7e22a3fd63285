import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, chmodSync, chownSync, constants, copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { WorkloadSpec } from '../deployments/cluster.port.ts';
import type { Id } from '../kernel/id.ts';
import { NONCE_VARIABLE } from './processes.ts';
import type { Program } from './stage-program.ts';

/** Open files of one replica. Higher: one can exhaust the machine; lower: many connections fail. */
const MAX_FILES = 4_096;
/** Processes and threads of one project's user on this machine. Higher: a fork bomb reaches further; lower: many replicas cannot start. */
const MAX_PROCESSES = 4_096;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Programs of util-linux that take rights away between fork and exec. */
export interface Confinement {
  readonly setpriv: string | null;
  readonly prlimit: string | null;
}

export const findConfinement = (): Confinement => ({ setpriv: findProgram('setpriv'), prlimit: findProgram('prlimit') });

function findProgram(name: string): string | null {
  const files = PATH.split(':').map((folder) => join(folder, name));
  return files.find((file) => isExecutable(file)) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface StartOptions {
  readonly replicaId: Id;
  readonly spec: WorkloadSpec;
  readonly nonce: string;
  /** Private to the replica's user, mode 0700; its working folder, HOME and TMPDIR. */
  readonly home: string;
  /** As root the project's user; null: as this process. */
  readonly uid: number | null;
  /** For `onnx`: the file in the cache. */
  readonly artifact: string | null;
  readonly program: Program;
  readonly confinement: Confinement;
  readonly log: { readonly stdout: number; readonly stderr: number };
}

export interface Started {
  readonly child: ChildProcess;
  /** Known at once where we chose it; else the replica tells it in `<home>/port`. */
  readonly port: number | null;
}

/** Starts one replica in a session of its own, so that it outlives the runtime. Rejects if the command cannot be run. */
export async function startReplica(options: StartOptions): Promise<Started> {
  prepareHome(options);
  const port = options.spec.runtime.format === 'onnx' ? null : await freePort();
  const [program = '', ...args] = [...confinement(options), ...commandOf(options)];
  const asRoot = options.uid === null || options.confinement.setpriv !== null ? {} : { uid: options.uid, gid: options.uid };
  const child = spawn(program, args, {
    ...asRoot,
    cwd: options.home,
    env: environmentOf(options, port),
    detached: true,
    stdio: ['ignore', options.log.stdout, options.log.stderr],
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.unref();
  return { child, port };
}

function prepareHome(options: StartOptions): void {
  const { home, uid, artifact } = options;
  mkdirSync(home, { recursive: true, mode: 0o700 });
  chmodSync(home, 0o700);
  rmSync(join(home, 'port'), { force: true });
  if (uid !== null) chownSync(home, uid, uid);
  if (artifact === null) return;
  const model = join(home, 'model.onnx');
  rmSync(model, { force: true });
  copyFileSync(artifact, model, constants.COPYFILE_FICLONE);
  chmodSync(model, 0o400);
  if (uid !== null) chownSync(model, uid, uid);
}

/** Limits first, then the user and its rights, then the program: each step replaces itself by the next, so the pid stays. */
function confinement({ uid, confinement: { setpriv, prlimit } }: StartOptions): string[] {
  const nproc = uid === null ? [] : [`--nproc=${MAX_PROCESSES}`];
  const limits = prlimit === null ? [] : [prlimit, '--core=0', `--nofile=${MAX_FILES}`, ...nproc, '--'];
  if (setpriv === null) return limits;
  const user =
    uid === null ? [] : [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--inh-caps=-all', '--bounding-set=-all'];
  return [...limits, setpriv, '--no-new-privs', ...user, '--'];
}

function commandOf({ spec, program, home }: StartOptions): readonly string[] {
  if (spec.runtime.format === 'process') return spec.runtime.command;
  const names = ['--name', spec.modelName, '--version', spec.modelVersion];
  return [
    program.node,
    program.entry,
    'model-server',
    '--model',
    join(home, 'model.onnx'),
    ...names,
    '--port-file',
    join(home, 'port'),
  ];
}

/** Nothing of our own environment is passed on; what a process brings comes first, so that it cannot replace what names it. */
function environmentOf({ spec, nonce, home, replicaId }: StartOptions, port: number | null): NodeJS.ProcessEnv {
  const own = spec.runtime.format === 'process' ? spec.runtime.environment : {};
  return {
    PATH,
    LANG: 'C.UTF-8',
    // ONNX Runtime would else report its use to its maker.
    ORT_DISABLE_TELEMETRY: '1',
    ...own,
    HOME: home,
    TMPDIR: home,
    ...(port === null ? {} : { HOST: '127.0.0.1', PORT: String(port) }),
    PURSER_MODEL_NAME: spec.modelName,
    PURSER_MODEL_VERSION: spec.modelVersion,
    PURSER_REPLICA: replicaId,
    [NONCE_VARIABLE]: nonce,
  };
}

/** A port that is free now; if somebody takes it first, the replica ends and its restart gets another. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
