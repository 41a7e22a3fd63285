import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Id } from '../kernel/id.ts';
import { withFileLock } from '../persistence/file-lock.ts';
import { readOrNull, writeDurably } from './runtime-folder.ts';

/** User ids that no distribution, container engine or systemd gives out (systemd's container range ends at 1 879 048 191). */
const FIRST_UID = 1_900_000_000;
const UIDS = 200_000_000;

/**
 * The user of a project's replicas, the same at every start: by hash, moved on where two projects meet, and written down. Two
 * installations on one machine share the file, so that their projects never share a user either.
 */
export async function userOfProject(file: string, projectId: Id): Promise<number> {
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  return withFileLock(`${file}.lock`, () => {
    const users = JSON.parse(readOrNull(file) ?? '{}') as Record<Id, number>;
    const known = users[projectId];
    if (known !== undefined) return Promise.resolve(known);
    const uid = freeUid(projectId, new Set(Object.values(users)));
    writeDurably(file, JSON.stringify({ ...users, [projectId]: uid }));
    return Promise.resolve(uid);
  });
}

/** Pure: the first free user at or after the project's hash. */
export function freeUid(projectId: Id, taken: ReadonlySet<number>): number {
  let offset = createHash('sha256').update(projectId).digest().readUInt32BE(0) % UIDS;
  while (taken.has(FIRST_UID + offset)) offset = (offset + 1) % UIDS;
  return FIRST_UID + offset;
}
