import type { Transaction } from '../kernel/transaction.ts';
import type { CostDimension, CostQuestion, CostRow } from './cost-breakdown.ts';

/** Sums over the ledger and over usage; the range of a question is of whole minutes. */
export interface CostQuery {
  /** Sums of closed minutes. Without `asOf` whole hours come from the hourly sums. */
  lineRows(tx: Transaction, question: CostQuestion): Promise<CostRow[]>;
  /** Quantities, of open minutes too. */
  usageRows(tx: Transaction, question: CostQuestion): Promise<CostRow[]>;
  /** What people call these values; ids that the transaction may not see are left out. */
  labels(tx: Transaction, dimension: CostDimension, ids: readonly string[]): Promise<ReadonlyMap<string, string>>;
}
