import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { identityOf, isSameProcess, type ProcessIdentity } from './process-identity.ts';

/** How long to wait for another process; a first start with its recovery fits. Higher hides a stuck one, lower fails slow machines. */
const WAIT_MS = 120_000;
/** How often a taken lock is tried again. Higher: a start is felt; lower: more reads while somebody else holds it. */
const POLL_MS = 50;

/**
 * Runs `body` while this process alone holds the lock file. A lock whose holder was killed counts as free. Throws after two minutes.
 */
export async function withFileLock<T>(path: string, body: () => Promise<T>): Promise<T> {
  await acquire(path);
  try {
    return await body();
  } finally {
    await rm(path, { force: true });
  }
}

async function acquire(path: string): Promise<void> {
  const mine = `${path}.${process.pid}.${String(process.hrtime.bigint())}`;
  await writeFile(mine, JSON.stringify(await identityOf(process.pid)), { mode: 0o600 });
  try {
    for (let waited = 0; waited < WAIT_MS; waited += POLL_MS) {
      if (await linked(mine, path)) return;
      await breakIfAbandoned(path);
      await sleep(POLL_MS);
    }
  } finally {
    await rm(mine, { force: true });
  }
  throw new Error(`Another process holds ${path} for more than ${WAIT_MS / 1000} s: end it, or remove the file.`);
}

/** A hard link is made or not, in one step, and brings its content with it. */
const linked = (mine: string, path: string): Promise<boolean> =>
  link(mine, path).then(
    () => true,
    (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    },
  );

async function breakIfAbandoned(path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null || (await isHeld(text))) return;
  // Only the lock that was looked at is removed: another process may have broken it and taken a new one meanwhile.
  if ((await readFile(path, 'utf8').catch(() => null)) === text) await rm(path, { force: true });
}

async function isHeld(text: string): Promise<boolean> {
  try {
    return await isSameProcess(JSON.parse(text) as ProcessIdentity);
  } catch {
    return false;
  }
}
