import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot as root } from '../../src/main/package-root.ts';
import { withFileLock } from '../../src/persistence/file-lock.ts';

export const builtNode = join(root, 'node_modules', 'node', 'bin', 'node');
export const builtEntry = join(root, 'dist', 'src', 'main', 'purser.js');

/** Compiles if a source is newer than the build; test files that run at once build once. */
export async function ensureBuilt(): Promise<void> {
  await withFileLock(join(root, 'node_modules', '.purser-build.lock'), async () => {
    if (!isStale()) return;
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    // What does not type-check is still emitted; types are the gate's business.
    await promisify(execFile)(builtNode, [tsc, '-p', join(root, 'tsconfig.build.json')], { cwd: root }).catch(() => undefined);
    if (!existsSync(builtEntry)) throw new Error('the build failed');
  });
}

function isStale(): boolean {
  const info = join(root, 'dist', '.tsbuildinfo');
  if (!existsSync(info) || !existsSync(builtEntry)) return true;
  const built = statSync(info).mtimeMs;
  return ['src', 'clients/cli', 'clients/typescript']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.name.endsWith('.ts'))
    .some((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs > built);
}
