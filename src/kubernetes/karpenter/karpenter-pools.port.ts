import type { CapacityType } from '../../clouds/offering.ts';

/** A pool whose machines Karpenter rents by itself, as the API shows it. */
export interface KarpenterPool {
  readonly name: string;
  readonly capacityType: CapacityType;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly maxNodes: number;
  /** See `docs/kubernetes.md`: `instanceTypes`, `nodeClass`, `region`, `zones`, `idleSeconds`. */
  readonly settings: Readonly<Record<string, string>>;
}

/** What a machine costs by the price book. */
export interface MachinePrice {
  readonly instanceType: string;
  readonly capacityType: CapacityType;
  /** Null where every zone costs the same. */
  readonly zone: string | null;
  /** US dollars per hour, as charged, in decimals. */
  readonly amount: string;
}

/** The API as an ordinary client uses it. Both throw when nobody answers: nothing is known then, so nothing is changed. */
export interface KarpenterPools {
  /** Null = there is no cluster of this name that the operator may see. */
  pools(): Promise<{
    /** What the installation is called on the cluster: its namespace prefix, so that two of them share one. */
    readonly installation: string;
    readonly pools: readonly KarpenterPool[];
  } | null>;
  /** Prices of these instance types in a region (`provider/region`); those that nobody knows are left out. */
  prices(region: string, instanceTypes: readonly string[]): Promise<readonly MachinePrice[]>;
}
