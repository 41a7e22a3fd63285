import type { BillSource } from './bill.port.ts';
import type { CloudCheck } from './cloud-check.port.ts';
import type { MachineProvider } from './cloud-provider.port.ts';
import type { PriceFeed } from './price-feed.port.ts';

/** A feed that is asked now and then. */
export interface ConfiguredFeed {
  readonly feed: PriceFeed;
  /** `provider/region`, as they are asked for. */
  readonly regions: readonly string[];
  readonly intervalMs: number;
}

/** Somebody who was named in the configuration, with everything that they can be asked; null = they have no such thing, or shall not be asked. */
export interface ConfiguredCloud {
  /** What pools, feeds and people call it. */
  readonly name: string;
  /** `aws`, `machines`, `azure-retail`, … */
  readonly kind: string;
  readonly machines: MachineProvider | null;
  readonly prices: ConfiguredFeed | null;
  readonly bill: BillSource | null;
  readonly check: CloudCheck | null;
}
