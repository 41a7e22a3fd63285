import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { withFileLock } from '../persistence/file-lock.ts';

/** What a replica of the built-in model server runs. */
export interface Program {
  readonly node: string;
  readonly entry: string;
}

export interface ProgramSource extends Program {
  /** The folder with `dist` and `node_modules`. */
  readonly root: string;
}

const OTHERS_MAY_PASS = 0o001;
const OTHERS_MAY_READ = 0o004;

/** The program where another user can run it: in place if every folder on the way lets others pass, else a copy per version below `programs`. */
export async function stageProgram(source: ProgramSource, programs: string): Promise<Program> {
  if (isOpen(source.entry) && isOpen(source.node)) return source;
  const dist = dirname(dirname(source.entry));
  const version = createHash('sha256').update(process.version).update(fingerprint(dist)).digest('hex').slice(0, 16);
  const target = join(programs, version);
  mkdirSync(programs, { recursive: true, mode: 0o755 });
  await withFileLock(join(programs, 'lock'), () => {
    if (!existsSync(target)) copyProgram(source, target);
    return Promise.resolve();
  });
  return { node: join(target, 'node'), entry: join(target, 'dist', 'src', 'main', 'purser.js') };
}

/** True if any user can reach and read the file. */
export function isOpen(path: string): boolean {
  if ((statSync(path).mode & OTHERS_MAY_READ) === 0) return false;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & OTHERS_MAY_PASS) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

const PARTS = ['main', 'modelserver', 'kernel', 'telemetry'] as const;

function fingerprint(dist: string): string {
  return PARTS.flatMap((part) => filesBelow(join(dist, part)))
    .filter((file) => file.endsWith('.js'))
    .sort()
    .map((file) => createHash('sha256').update(readFileSync(file)).digest('hex'))
    .join();
}

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** The rename makes the copy whole or absent. */
function copyProgram(source: ProgramSource, target: string): void {
  const partial = `${target}.new`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { mode: 0o755 });
  cpSync(source.node, join(partial, 'node'), { dereference: true });
  cpSync(join(source.root, 'package.json'), join(partial, 'package.json'));
  for (const part of PARTS)
    cpSync(join(source.root, 'dist', 'src', part), join(partial, 'dist', 'src', part), { recursive: true });
  const resolver = createRequire(join(source.root, 'package.json'));
  const runtime = dirname(dirname(resolver.resolve('onnxruntime-node')));
  const foreign = /\/bin\/napi-v\d+\/(?!$)/;
  const here = `/${process.platform}/${process.arch}`;
  cpSync(runtime, join(partial, 'node_modules', 'onnxruntime-node'), {
    recursive: true,
    filter: (from) => !foreign.test(from) || from.includes(here) || here.startsWith(from.slice(from.lastIndexOf('/'))),
  });
  const common = dirname(dirname(dirname(createRequire(join(runtime, 'package.json')).resolve('onnxruntime-common'))));
  cpSync(common, join(partial, 'node_modules', 'onnxruntime-common'), { recursive: true });
  openToAll(partial);
  renameSync(partial, target);
}

/** Whatever the umask was: others may read, none but the owner may write. */
function openToAll(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isSymbolicLink()) chmodSync(path, entry.isDirectory() || entry.name === 'node' ? 0o755 : 0o644);
  }
}
