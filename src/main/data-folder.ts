import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { holdLock } from '../local/hold-lock.ts';
import { StartError } from './start-error.ts';

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write to it',
  EPERM: 'this user may not write to it',
  EROFS: 'it is on a read-only disk',
  EEXIST: 'it is a file',
  ENOTDIR: 'a part of its path is a file',
  ENAMETOOLONG: 'its path is too long',
  ENOSPC: 'the disk is full',
};

/** Makes the data folder, private to this user, where it is missing. Throws a `StartError` when it cannot be used. */
export function prepareDataFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw unusable(folder, REASONS[code ?? ''] ?? message);
  }
  const owner = statSync(folder).uid;
  // Root keeps its database elsewhere: it would begin with an empty one here, and replace the tokens of the one that is here.
  if (process.getuid?.() === 0 && owner !== 0 && existsSync(join(folder, 'postgres')))
    throw unusable(folder, `it holds the database of user ${owner}, and this is root`);
}

const unusable = (folder: string, why: string): StartError =>
  new StartError(
    `The data folder ${folder} cannot be used, because ${why}: set PURSER_DATA_DIR to a folder of this user, or run as its owner.`,
  );

/** Makes this process the only supervisor of the data folder for as long as it lives. Throws a `StartError` while another one is. */
export async function holdDataFolder(folder: string): Promise<void> {
  const other = await holdLock(folder, 'supervisor.pid');
  if (other === null) return;
  throw new StartError(
    `Purser already runs in ${folder} (process ${other}): use that one or stop it, or set PURSER_DATA_DIR and the three ports to start a second.`,
  );
}
