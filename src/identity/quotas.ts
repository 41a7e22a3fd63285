import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import { parseUsd } from '../kernel/money.ts';

/** What can be limited. `spend_per_hour` is in pico-dollars. */
export const QUOTA_RESOURCES = ['replicas', 'artifact_bytes', 'spend_per_hour'] as const;

export type QuotaResource = (typeof QUOTA_RESOURCES)[number];

/** A limit of a team (project null) or of one project. */
export interface Quota {
  readonly id: Id;
  readonly teamId: Id;
  readonly projectId: Id | null;
  readonly resource: QuotaResource;
  readonly maximum: bigint;
  readonly version: number;
}

/** Null unless `text` is a limit of that resource: a whole number, or dollars for what is spent; never below zero. */
export function parseMaximum(resource: QuotaResource, text: string): bigint | null {
  if (resource === 'spend_per_hour') {
    const spend = parseUsd(text);
    return spend !== null && spend >= 0n ? spend : null;
  }
  return /^\d+$/.test(text) ? BigInt(text) : null;
}

/** How much of a resource a team and a project hold now, without what is wanted. */
export interface QuotaUse {
  readonly team: bigint;
  readonly project: bigint;
}

/** By how much each quota is too small for `wanted` more; those that are large enough are left out. */
export const shortagesOf = (
  quotas: readonly Quota[],
  use: QuotaUse,
  wanted: bigint,
): { readonly projectId: Id | null; readonly by: bigint }[] =>
  quotas.flatMap(({ projectId, maximum }) => {
    const by = (projectId === null ? use.team : use.project) + wanted - maximum;
    return by > 0n ? [{ projectId, by }] : [];
  });

/** Null if `wanted` more fits under every quota; otherwise the tightest limit that it would break. */
export function checkQuotas(quotas: readonly Quota[], use: QuotaUse, wanted: bigint): Failure | null {
  for (const quota of quotas) {
    const used = quota.projectId === null ? use.team : use.project;
    if (used + wanted <= quota.maximum) continue;
    const owner = quota.projectId === null ? 'team' : 'project';
    return failure(
      'QUOTA_EXCEEDED',
      `The ${owner}'s quota of ${quota.resource} is ${quota.maximum}; ${used} are used and ${wanted} more are asked for.`,
      {
        hint: 'Free some, or ask an administrator for a higher quota.',
      },
    );
  }
  return null;
}
