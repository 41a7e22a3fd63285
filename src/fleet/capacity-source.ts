import type { CapacitySource } from './cluster.ts';
import type { PoolScaling } from './node.ts';

/** True if the machines of a pool that scales so are rented from this source. */
export const isRentedFrom = (
  { provider, region }: Pick<CapacitySource, 'provider' | 'region'>,
  scaling: Pick<PoolScaling, 'provider' | 'config'>,
): boolean => scaling.provider === provider && scaling.config['region'] === nameOfRegion(region);

/** `us-east-1` of `aws/us-east-1`: what its provider calls it. */
export const nameOfRegion = (region: string): string => region.slice(region.indexOf('/') + 1);
