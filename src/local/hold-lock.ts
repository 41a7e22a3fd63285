import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { identityOf, isSameProcess, type ProcessIdentity } from '../persistence/process-identity.ts';
import { withFileLock } from '../persistence/file-lock.ts';
import { readOrNull, writeDurably } from './runtime-folder.ts';

/**
 * Makes this process the only one of its kind in the folder: null, or the pid of the other one that lives. It ends with the process,
 * however that ends.
 */
export async function holdLock(folder: string, name: string): Promise<number | null> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, name);
  return withFileLock(`${file}.lock`, async () => {
    const other = holderIn(readOrNull(file));
    if (other !== null && (await isSameProcess(other))) return other.pid;
    writeDurably(file, JSON.stringify(await identityOf(process.pid)));
    return null;
  });
}

/** Null for no file, and for one that a crash of the machine left empty. */
function holderIn(text: string | null): ProcessIdentity | null {
  try {
    return text === null ? null : (JSON.parse(text) as ProcessIdentity);
  } catch {
    return null;
  }
}
