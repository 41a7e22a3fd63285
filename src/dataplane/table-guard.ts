import type { RouteTable } from '../traffic/router-contract/route-table.ts';

/** Deployments that may vanish without a delete record, at least. Lower: single losses are held; higher: small installations are unguarded. */
const MIN_DROP = 3;
/** The same as a share of all. Higher: a half-read database empties the router. */
const MAX_DROP_SHARE = 0.05;

export type TableVerdict =
  { readonly kind: 'apply' } | { readonly kind: 'stale' } | { readonly kind: 'hold'; readonly dropped: number };

/** Whether a table may replace the current one. */
export function judgeTable(current: RouteTable | null, next: RouteTable): TableVerdict {
  if (!current) return { kind: 'apply' };
  if (next.version.epoch === current.version.epoch && next.version.n < current.version.n) return { kind: 'stale' };
  const kept = new Set([...next.deployments, ...next.deleted].map((row) => row.deploymentId));
  const dropped = current.deployments.filter((deployment) => !kept.has(deployment.deploymentId)).length;
  if (dropped > Math.max(MIN_DROP, current.deployments.length * MAX_DROP_SHARE)) return { kind: 'hold', dropped };
  return { kind: 'apply' };
}

/** While a table is held its credentials count all the same: a revoked token must not profit. */
export const withCredentialsOf = (current: RouteTable, held: RouteTable): RouteTable => ({
  ...current,
  credentials: held.credentials,
  issuers: held.issuers,
});
