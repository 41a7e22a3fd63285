// Things that are made once per machine and kept outside the tree: `$XDG_CACHE_HOME/purser-kubernetes/<name>-<hash>`.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../../src/main/package-root.ts';
import { log } from './machine.ts';

export const repository = packageRoot;

/** The sources of this folder, also for its build (`npm run bench`). */
export const harnessSources = join(packageRoot, 'test', 'kubernetes', 'cluster');

export function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const folder = join(base, 'purser-kubernetes');
  mkdirSync(folder, { recursive: true });
  return folder;
}

interface CloneLock {
  readonly takeLock: (path: string, onWait: () => void) => Promise<{ release(): void }>;
}

/** Runs `body` while nobody else on the machine holds the lock file, which ends with its holder; `waiting` is said to who must wait. */
export async function inTurn<T>(path: string, waiting: string, body: () => Promise<T>): Promise<T> {
  const { takeLock } = (await import(pathToFileURL(join(repository, 'deploy', 'local', 'clone-lock.mjs')).href)) as CloneLock;
  const lock = await takeLock(path, () => {
    if (waiting !== '') log(waiting);
  });
  try {
    return await body();
  } finally {
    lock.release();
  }
}

/** The path of a cached folder, made by `make` when it is not there; a half-made one never shows. */
export async function cached(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const path = join(cacheFolder(), name);
  if (existsSync(path)) return path;
  await inTurn(`${path}.lock`, `Another run makes ${name}; waiting for it …`, async () => {
    if (existsSync(path)) return;
    const attempt = mkdtempSync(`${path}.part-`);
    try {
      await make(attempt);
      renameSync(attempt, path);
    } finally {
      rmSync(attempt, { recursive: true, force: true });
    }
  });
  return path;
}

/** A short name for the content of all files in a folder, and of what else counts. */
export function digestOf(folder: string, ...more: string[]): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder).sort())
    hash
      .update(name)
      .update('\0')
      .update(readFileSync(join(folder, name)))
      .update('\0');
  for (const text of more) hash.update(text).update('\0');
  return hash.digest('hex').slice(0, 16);
}
