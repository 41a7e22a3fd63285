import type { Offering } from '../clouds/offering.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Instant } from '../kernel/instant.ts';

/** An offering with the price that the catalogue knows of it. */
export interface CatalogueRow {
  readonly offering: Offering;
  readonly price: PicoUsdPerHour;
  /** Code and date of the source, `karpenter-aws@2026-07-20`; the NOTICE file explains the codes. */
  readonly source: string;
  /** The date of the source, midnight UTC. */
  readonly asOf: Instant;
}

export interface CatalogueRegion {
  readonly provider: string;
  readonly region: string;
  readonly location: string;
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly zones: readonly string[];
}

/** A measured round trip between two regions, `provider/region`; both ways are listed, and within a region, too. */
export interface RegionLatency {
  readonly from: string;
  readonly to: string;
  readonly rttUs: number;
}

/** Something that a zone offers, where a provider does not offer the same in all of them. */
export interface ZoneItem {
  readonly provider: string;
  readonly zone: string;
  readonly kind: 'machine_type' | 'accelerator' | 'cpu_family';
  readonly name: string;
}

export interface Catalogue {
  readonly rows: readonly CatalogueRow[];
  readonly regions: readonly CatalogueRegion[];
  readonly latencies: readonly RegionLatency[];
  readonly zoneItems: readonly ZoneItem[];
}

/** Where list prices come from without asking a cloud. */
export interface CataloguePort {
  /** Changes if and only if the content does. Cheap: nothing is parsed. Safe to repeat. */
  digest(): Promise<string>;
  /** The whole content; throws when it is damaged. Safe to repeat. */
  read(): Promise<Catalogue>;
}
