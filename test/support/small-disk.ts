import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const mount = (folder: string): number | null =>
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' }).status;

/** A real file system of 1 MiB over a folder, so that a disk can run full. */
export function mountSmallDisk(folder: string): { unmount(): void } {
  if (mount(folder) !== 0) throw new Error('this machine lets nobody mount');
  return { unmount: () => void execFileSync('umount', [folder], { stdio: 'ignore' }) };
}

/** Only root can mount, and not in every container. */
export function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'purser-mount-'));
  const mounted = mount(folder) === 0;
  if (mounted) execFileSync('umount', [folder]);
  rmdirSync(folder);
  return mounted;
}
