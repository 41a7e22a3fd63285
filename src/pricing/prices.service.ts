import { offeringIdOf, offeringKeyText, regionOf, type OfferingKey } from '../clouds/offering-key.ts';
import { record } from '../events/event-log.ts';
import { mayDo, mayDoSomewhere, PLATFORM } from '../identity/authorize.ts';
import type { Caller } from '../identity/identity.service.ts';
import type { Clock } from '../kernel/clock.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { formatUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Commands } from '../persistence/commands.ts';
import type { Database } from '../persistence/database.ts';
import type { CataloguePort, CatalogueRegion, RegionLatency, ZoneItem } from './catalogue.port.ts';
import {
  believedRowAt,
  believedSteps,
  MAX_PRICE,
  OVERRIDE_CLEARED_SOURCE,
  OVERRIDE_SOURCE,
  type PriceRow,
  type PriceStep,
} from './price-book.ts';
import { priceChanged } from './price.events.ts';
import type { OfferingsQuestion, PriceStore, PricedOffering } from './price-store.port.ts';

export interface PricesDeps {
  readonly database: Database;
  readonly commands: Commands;
  readonly clock: Clock;
  readonly random: Random;
  readonly catalogue: CataloguePort;
  readonly store: PriceStore;
}

/** A stretch of time under one price, with where that price comes from. */
export interface PricePoint extends PriceStep {
  readonly price: PriceRow;
}

/** Where regions are. */
export interface Places {
  /** Between two regions (`provider/region`), measured; null = nobody measured it. */
  readonly roundTripMs: (from: string, to: string) => number | null;
  /** By `provider/region`. */
  readonly zonesOf: ReadonlyMap<string, readonly string[]>;
}

/** A region with what its zones offer; a zone without items offers what its region does, as far as anybody knows. */
export interface RegionFacts extends Omit<CatalogueRegion, 'zones'> {
  readonly zones: readonly { readonly name: string; readonly items: readonly ZoneItem[] }[];
  readonly roundTrips: readonly RegionLatency[];
}

/** The price book: what each offering costs, since when, and who says so. */
export class PricesService {
  readonly #deps: PricesDeps;

  constructor(deps: PricesDeps) {
    this.#deps = deps;
  }

  /** Loads the bundled price book unless its very content was loaded before; instances that start at once load it once. */
  async loadCatalogue(): Promise<{ readonly written: number }> {
    const { database, catalogue, store, clock, random } = this.#deps;
    const digest = await catalogue.digest();
    const scope = { kind: 'reconciler', loop: 'price-book' } as const;
    if (await database.read(scope, (tx) => store.isLoaded(tx, digest))) return { written: 0 };
    const { rows, regions, latencies, zoneItems } = await catalogue.read();
    return database.write(scope, async (tx) => {
      await store.lockBook(tx);
      if (await store.isLoaded(tx, digest)) return { written: 0 };
      const now = clock.now();
      await store.saveRegions(tx, regions);
      await store.saveLatencies(tx, latencies);
      await store.saveZoneItems(tx, zoneItems);
      await store.saveOfferings(
        tx,
        rows.map((row) => row.offering),
      );
      const written = await store.appendObserved(
        tx,
        rows.map((row) => ({ ...row, id: newId(now, random) })),
        now,
      );
      await store.markLoaded(tx, { digest, rows: rows.length, at: now });
      return { written };
    });
  }

  /** Every offering of these regions (`provider/region`) with its believed price. */
  candidates(tx: Transaction, where: { readonly regions: readonly string[] }): Promise<PricedOffering[]> {
    return this.#deps.store.offeringsIn(tx, where.regions, this.#deps.clock.now());
  }

  /** Another one whenever a price was added to the book. */
  version(tx: Transaction): Promise<string> {
    return this.#deps.store.version(tx);
  }

  /** How far regions are from each other, and their zones. */
  async places(tx: Transaction): Promise<Places> {
    const [regions, latencies] = [await this.#deps.store.regions(tx), await this.#deps.store.latencies(tx)];
    const roundTrips = new Map(latencies.map(({ from, to, rttUs }) => [`${from} ${to}`, rttUs / 1000]));
    return {
      roundTripMs: (from, to) => roundTrips.get(`${from} ${to}`) ?? null,
      zonesOf: new Map(regions.map((region) => [regionOf(region), region.zones])),
    };
  }

  /** Every region of the book with its zones and what it is near to; empty for callers who may see no prices. */
  async regions(tx: Transaction, principal: Principal): Promise<RegionFacts[]> {
    if (!mayDoSomewhere(principal, 'price.read')) return [];
    const { store } = this.#deps;
    const items = Map.groupBy(await store.zoneItems(tx), ({ provider, zone }) => `${provider}/${zone}`);
    const latencies = Map.groupBy(await store.latencies(tx), ({ from }) => from);
    return (await store.regions(tx)).map((region) => ({
      ...region,
      zones: region.zones.map((name) => ({ name, items: items.get(`${region.provider}/${name}`) ?? [] })),
      roundTrips: latencies.get(regionOf(region)) ?? [],
    }));
  }

  /** The believed steps of each offering over `[from, to)`; an offering without any price has an empty list. */
  async stepsOf(tx: Transaction, offeringIds: readonly Id[], from: Instant, to: Instant): Promise<Map<Id, PriceStep[]>> {
    const rows = Map.groupBy(await this.#deps.store.rowsOf(tx, offeringIds, to), (row) => row.offeringId);
    return new Map(offeringIds.map((id) => [id, believedSteps(rows.get(id) ?? [], from, to)]));
  }

  /** The price in force at `now` of each offering that has one. */
  async believedAt(tx: Transaction, offeringIds: readonly Id[], now: Instant): Promise<Map<Id, PriceRow>> {
    const priced = await this.priced(tx, offeringIds, now);
    return new Map(priced.flatMap(({ offering, price }) => (price ? [[offering.id, price] as const] : [])));
  }

  /** What one machine of each offering is charged now, in pico-USD per hour; what nobody knows the price of is absent, which is not free. */
  async ratesAt(tx: Transaction, offeringIds: readonly Id[], now: Instant): Promise<Map<Id, PicoUsdPerHour>> {
    const rows = await this.believedAt(tx, [...new Set(offeringIds)], now);
    return new Map([...rows].map(([id, { effective }]) => [id, effective]));
  }

  /** Offerings by id with the price in force at `now`, in no order; unknown ids are left out. */
  priced(tx: Transaction, offeringIds: readonly Id[], now: Instant): Promise<PricedOffering[]> {
    return this.#deps.store.byIds(tx, offeringIds, now);
  }

  /** Offerings by id in the order of `ids`; null for unknown ones and for callers who may see no prices. */
  async byIds(tx: Transaction, principal: Principal, ids: readonly Id[], now: Instant): Promise<(PricedOffering | null)[]> {
    if (!mayDoSomewhere(principal, 'price.read')) return ids.map(() => null);
    const found = new Map((await this.#deps.store.byIds(tx, ids, now)).map((priced) => [priced.offering.id, priced]));
    return ids.map((id) => found.get(id) ?? null);
  }

  /** One page of offerings; `hasNextPage` is exact. Empty for callers who may see no prices. */
  async list(
    tx: Transaction,
    principal: Principal,
    question: OfferingsQuestion,
  ): Promise<{ items: PricedOffering[]; hasNextPage: boolean }> {
    if (!mayDoSomewhere(principal, 'price.read')) return { items: [], hasNextPage: false };
    const rows = await this.#deps.store.list(tx, question);
    return { items: rows.slice(0, question.first), hasNextPage: rows.length > question.first };
  }

  /** What was believed of an offering over `[from, to)`; empty for an unknown one. */
  async history(
    tx: Transaction,
    principal: Principal,
    { key, from, to }: { readonly key: OfferingKey; readonly from: Instant; readonly to: Instant },
  ): Promise<PricePoint[]> {
    if (!mayDoSomewhere(principal, 'price.read') || from > to) return [];
    const rows = await this.#deps.store.rowsOf(tx, [offeringIdOf(key)], to);
    const byId = new Map(rows.map((row) => [row.id, row]));
    return believedSteps(rows, from, to).flatMap((step) => {
      const price = byId.get(step.priceId);
      return price ? [{ ...step, price }] : [];
    });
  }

  /** Sets the price of an offering from now on, or (null) lets the observed one count again; `at` is when it came into force. */
  setOverride(
    caller: Caller,
    input: { readonly key: OfferingKey; readonly pricePerHour: PicoUsdPerHour | null },
  ): Promise<Result<{ offeringId: Id; at: Instant }, Failure>> {
    const body = {
      offering: offeringKeyText(input.key),
      pricePerHour: input.pricePerHour === null ? null : formatUsd(input.pricePerHour),
    };
    return this.#deps.commands.run({ ...caller, mutation: 'setPriceOverride', body }, (tx) =>
      this.#override(tx, caller.principal, input),
    );
  }

  async #override(
    tx: Transaction,
    principal: Principal,
    { key, pricePerHour }: { readonly key: OfferingKey; readonly pricePerHour: PicoUsdPerHour | null },
  ): Promise<Result<{ offeringId: Id; at: Instant }, Failure>> {
    const { store, clock, random } = this.#deps;
    const locked = mayDo(principal, 'price.write', PLATFORM) ? await store.lockOffering(tx, offeringIdOf(key)) : null;
    if (!locked) return err(notFound('offering', ['input', 'offering']));
    if (pricePerHour !== null && (pricePerHour < 0n || pricePerHour > MAX_PRICE)) {
      return err(
        failure('INVALID_INPUT', `The price must be between 0 and ${formatUsd(MAX_PRICE)} USD per hour.`, {
          path: ['input', 'pricePerHour'],
        }),
      );
    }
    const now = clock.now();
    const offeringId = locked.offering.id;
    const rows = await store.rowsOf(tx, [offeringId], now + 1);
    const amount = pricePerHour ?? 0n;
    const row: PriceRow = {
      id: newId(now, random),
      offeringId,
      list:
        believedRowAt(
          rows.filter((one) => one.source !== OVERRIDE_SOURCE),
          now,
        )?.list ?? amount,
      contracted: amount,
      effective: amount,
      effectiveFrom: now,
      observedAt: now,
      source: pricePerHour === null ? OVERRIDE_CLEARED_SOURCE : OVERRIDE_SOURCE,
      state: 'believed',
    };
    await store.append(tx, row, principal.id);
    const change = { before: believedRowAt(rows, now), after: believedRowAt([...rows, row], now) };
    record(
      tx,
      priceChanged({ ...change, offering: locked.offering, version: locked.prices + 1, at: now, principal: principal.id }),
    );
    return ok({ offeringId, at: now });
  }
}
