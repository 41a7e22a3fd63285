import type { Transaction } from '../kernel/transaction.ts';
import type { CloudPool } from './cloud-provider.port.ts';

/** Where a pool rents its machines. */
export interface RentedPool extends Pick<CloudPool, 'region' | 'config'> {
  readonly cluster: string;
  readonly pool: string;
}

/** Whoever keeps the pools knows. */
export interface RentedPools {
  /** Of a provider, as pools name it: those that may have machines, by cluster and name. Changes nothing. */
  rentedFrom(tx: Transaction, provider: string): Promise<readonly RentedPool[]>;
}
