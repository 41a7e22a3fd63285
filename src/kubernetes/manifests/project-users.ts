import type { Id } from '../../kernel/id.ts';
import { digestOf } from '../../kernel/digest.ts';

/** User ids that no distribution or image gives out, below the greatest that Kubernetes takes (2³¹−1). */
const FIRST_UID = 1_900_000_000;
const UIDS = 200_000_000;

/** The user of a project's replicas: by hash, moved on where two projects would meet. */
export function userOfProject(projectId: Id, taken: ReadonlySet<number>): number {
  let offset = Number.parseInt(digestOf(projectId).slice('sha256:'.length, 'sha256:'.length + 8), 16) % UIDS;
  while (taken.has(FIRST_UID + offset)) offset = (offset + 1) % UIDS;
  return FIRST_UID + offset;
}
