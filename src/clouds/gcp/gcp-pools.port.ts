import type { CloudFence, CloudPool, CloudResult } from '../cloud-provider.port.ts';
import type { GcpPool, Marks } from './gcp-pool.ts';

export type PoolChange = 'done' | 'going' | 'absent' | 'exists' | Extract<CloudResult, { outcome: 'refused' }>;

/** What node pools and instance groups are asked alike. Every change names the state that it was decided on, and is `CloudUnknown` on another. */
export interface GcpPools {
  readonly kind: GcpPool['kind'];
  /** What has the pool's name: the pool itself before one that others made. */
  find(key: string): Promise<GcpPool | null>;
  /** Without machines; or why it cannot be. */
  create(pool: CloudPool, marks: Marks): Promise<PoolChange>;
  describe(found: GcpPool, pool: CloudPool, marks: Marks): Promise<PoolChange>;
  /** It was led under this epoch. */
  raise(found: GcpPool, fence: CloudFence): Promise<PoolChange>;
  /** `more` machines than it was last told; `desired` in all. */
  grow(found: GcpPool, wish: { readonly desired: number; readonly more: number }, fence: CloudFence): Promise<PoolChange>;
  remove(found: GcpPool): Promise<PoolChange>;
}
