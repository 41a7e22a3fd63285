import type { CloudPool, CloudResult } from '../cloud-provider.port.ts';
import type { AzureMachine, AzurePool } from './azure-pool.ts';
import type { PoolNames, Tags } from './pool-names.ts';

/** `going`: taken up, and not done yet. */
export type PoolChange = 'done' | 'going' | 'absent' | Extract<CloudResult, { outcome: 'refused' }>;

/** What agent pools and scale sets are asked alike. Every change names the state that it was decided on, and is `CloudUnknown` on another. */
export interface AzurePools {
  readonly kind: AzurePool['kind'];
  /** All that carry our tags. */
  all(): Promise<AzurePool[]>;
  /** By its path; null = there is none. Sees what was just made, which lists may not. */
  at(path: string): Promise<AzurePool | null>;
  /** Why no such pool can be asked for by the settings of now; null = it can. */
  outOfReach(pool: Pick<CloudPool, 'config'>): string | null;
  /** Where a pool with one of these names would be; or why it cannot be. */
  pathsFor(pool: CloudPool, now: number): PoolNames | string;
  /** Without machines. */
  create(pool: CloudPool, path: string, tags: Tags): Promise<PoolChange>;
  describe(found: AzurePool, pool: CloudPool, tags: Tags): Promise<PoolChange>;
  /** It was led under this epoch; its size stays. */
  raise(found: AzurePool, tags: Tags): Promise<PoolChange>;
  resize(found: AzurePool, count: number, tags: Tags): Promise<PoolChange>;
  release(found: AzurePool, machines: readonly AzureMachine[]): Promise<PoolChange>;
  remove(found: AzurePool): Promise<PoolChange>;
  machines(found: AzurePool): Promise<AzureMachine[]>;
}
