import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { identityOf, isSameProcess, type ProcessIdentity } from '../persistence/process-identity.ts';
import { withFileLock } from '../persistence/file-lock.ts';
import { readOrNull, writeDurably } from './runtime-folder.ts';

/** Makes this process the only runtime of the folder; false if another one lives. It ends with the process, however that ends. */
export async function holdLock(folder: string): Promise<boolean> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'runtime.pid');
  return withFileLock(`${file}.lock`, async () => {
    const text = readOrNull(file);
    if (text !== null && (await isSameProcess(JSON.parse(text) as ProcessIdentity))) return false;
    writeDurably(file, JSON.stringify(await identityOf(process.pid)));
    return true;
  });
}
