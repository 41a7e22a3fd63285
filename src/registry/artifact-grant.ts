import type { Digest } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { isMacOf, macOf } from '../kernel/mac.ts';

/** Permission for the replicas of one workload to read one artifact of one project, until it expires. */
export interface ArtifactGrant {
  readonly workloadId: Id;
  readonly projectId: Id;
  readonly digest: Digest;
  readonly expiresAt: Instant;
}

const PREFIX = 'purser_artifact';
const TOKEN = /^purser_artifact_([0-9a-f-]{36})_([0-9a-f-]{36})_([0-9a-f]{64})_(\d{1,15})_([\w-]{43})$/;

/** The grant as a bearer token: readable, unforgeable without the secret, and checked without any look-up. */
export function signArtifactGrant(grant: ArtifactGrant, secret: string): string {
  const body = `${PREFIX}_${grant.workloadId}_${grant.projectId}_${grant.digest.slice('sha256:'.length)}_${grant.expiresAt}`;
  return `${body}_${macOf(secret, body)}`;
}

/** The grant inside a token that was signed with this secret and has not expired; null for anything else. */
export function readArtifactGrant(token: string, secret: string, now: Instant): ArtifactGrant | null {
  const match = TOKEN.exec(token);
  if (!match) return null;
  const [, workloadId = '', projectId = '', hex = '', expires = '', mac = ''] = match;
  const body = token.slice(0, -(mac.length + 1));
  if (!isMacOf(mac, secret, body) || Number(expires) <= now) return null;
  return { workloadId, projectId, digest: `sha256:${hex}`, expiresAt: Number(expires) };
}
