import type { Offering } from '../clouds/offering.ts';
import { offeringIdOf, type OfferingKey } from '../clouds/offering-key.ts';
import { record } from '../events/event-log.ts';
import { mayDo, PLATFORM } from '../identity/authorize.ts';
import type { Caller } from '../identity/identity.service.ts';
import type { Clock } from '../kernel/clock.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Commands } from '../persistence/commands.ts';
import type { Database } from '../persistence/database.ts';
import { writeSpec } from './agreement-json.ts';
import type { AgreementStore, ObservedOffering } from './agreement-store.port.ts';
import {
  agreedPrices,
  paidKeyOf,
  paidPrices,
  type Agreement,
  type AgreementSpec,
  type Commitment,
  type PaidCapacity,
} from './agreements.ts';
import { checkAgreement } from './check-agreement.ts';
import { priceAgreementChanged } from './price.events.ts';
import { sourceOf } from './plan-reading.ts';
import { believedRowAt, isOverride } from './price-book.ts';
import type { PriceDraft } from './price-feed-store.port.ts';
import type { PriceStore } from './price-store.port.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'price-agreements' };
const OWN_SOURCE = 'own-hardware';

export interface AgreementsDeps {
  readonly database: Database;
  readonly commands: Commands;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: AgreementStore;
  readonly prices: PriceStore;
}

export interface AgreementInput {
  readonly name: string;
  readonly spec: AgreementSpec;
  /** Null = now. */
  readonly validFrom: Instant | null;
  readonly validUntil: Instant | null;
}

/** The version that the caller has seen; null = it does not matter. */
export interface Expected {
  readonly expectedVersion: number | null;
}

/** What was agreed with providers, and what one's own machines cost: the contracted and effective prices beside the list. */
export class AgreementsService {
  readonly #deps: AgreementsDeps;

  constructor(deps: AgreementsDeps) {
    this.#deps = deps;
  }

  /** In force or to come, by name. Empty for callers who may see none. */
  async list(tx: Transaction, principal: Principal): Promise<Agreement[]> {
    return mayDo(principal, 'price.write', PLATFORM) ? this.#deps.store.inForce(tx, this.#deps.clock.now()) : [];
  }

  async byIds(tx: Transaction, principal: Principal, ids: readonly Id[]): Promise<Agreement[]> {
    return mayDo(principal, 'price.write', PLATFORM) ? this.#deps.store.byIds(tx, ids) : [];
  }

  /** Reservations, plans and machines of one's own that are in force now; how many, whoever asks: what is paid for is for everybody to use. */
  async paid(tx: Transaction): Promise<PaidCapacity[]> {
    const rows = await this.#deps.store.paid(tx, this.#deps.clock.now());
    const counts = new Map<Id, number>();
    for (const { standsFor, machines } of rows) {
      // A machine of one's own says no kind of capacity: it is always there.
      const id = offeringIdOf({ ...standsFor, capacityType: 'on_demand' });
      counts.set(id, (counts.get(id) ?? 0) + machines);
    }
    return [...counts].map(([offeringId, count]) => ({ offeringId, count }));
  }

  /** Makes it so from now on, or changes the one of that name. */
  set(caller: Caller, input: AgreementInput & Expected): Promise<Result<{ id: Id }, Failure>> {
    const { spec, ...terms } = input;
    const body = { ...terms, spec: writeSpec(spec) };
    return this.#deps.commands.run({ ...caller, mutation: 'setPriceAgreement', body }, (tx) =>
      this.#set(tx, caller.principal, input),
    );
  }

  /** Ends it now. */
  remove(caller: Caller, { name, expectedVersion }: { readonly name: string } & Expected): Promise<Result<{ id: Id }, Failure>> {
    const body = { name, expectedVersion };
    return this.#deps.commands.run({ ...caller, mutation: 'removePriceAgreement', body }, async (tx) => {
      const { store, clock } = this.#deps;
      await this.#deps.prices.lockBook(tx);
      const found = mayDo(caller.principal, 'price.write', PLATFORM) ? await store.lockByName(tx, name) : null;
      if (!found) return err(notFound('price agreement', ['input', 'name']));
      if (isStale(found, expectedVersion)) return err(conflict(found));
      const at = clock.now();
      const after = { ...found, version: found.version + 1, validUntil: at };
      await store.remove(tx, after, { at, principal: caller.principal.id });
      record(tx, priceAgreementChanged(found, null, { at, principal: caller.principal.id }));
      await this.#reprice(tx, found.spec, at);
      return ok({ id: found.id });
    });
  }

  async #set(
    tx: Transaction,
    principal: Principal,
    { expectedVersion, ...input }: AgreementInput & Expected,
  ): Promise<Result<{ id: Id }, Failure>> {
    const { store, clock, random, prices } = this.#deps;
    if (!mayDo(principal, 'price.write', PLATFORM)) return err(notFound('platform'));
    const at = clock.now();
    const validFrom = input.validFrom ?? at;
    const wrong = checkAgreement({ ...input, validFrom }, at);
    if (wrong) return err(wrong);
    await prices.lockBook(tx);
    const before = await store.lockByName(tx, input.name);
    const refusal = refuseChange(before, input.spec, expectedVersion);
    if (refusal) return err(refusal);
    // One that was ended may be made again: it goes on with its history.
    const former = before ?? (await store.ended(tx, input.name));
    const id = former?.id ?? newId(at, random);
    const version = (former?.version ?? 0) + 1;
    return this.#save(tx, before, { ...input, id, validFrom, version }, { at, principal: principal.id });
  }

  async #save(
    tx: Transaction,
    before: Agreement | null,
    agreement: Agreement,
    by: { readonly at: Instant; readonly principal: string },
  ): Promise<Result<{ id: Id }, Failure>> {
    const missing = await this.#makeOffering(tx, agreement, by.at);
    if (missing) return err(missing);
    await this.#deps.store.save(tx, agreement, by);
    record(tx, priceAgreementChanged(before, agreement, by));
    // What it was for before may be something else.
    if (before) await this.#reprice(tx, before.spec, by.at);
    await this.#reprice(tx, agreement.spec, by.at);
    return ok({ id: agreement.id });
  }

  /** What is reserved or owned is an offering of its own. */
  async #makeOffering(tx: Transaction, { spec }: Agreement, now: Instant): Promise<Failure | null> {
    if (spec.kind === 'discount') return null;
    const { prices } = this.#deps;
    if (spec.kind === 'own_hardware') {
      const offering = offeringOf(paidKeyOf(spec), spec.shape);
      await prices.saveOfferings(tx, [offering]);
      return null;
    }
    const [covered] = await prices.byIds(tx, [offeringIdOf(spec.covers)], now);
    if (!covered?.price) return notFound('priced offering', ['input', 'covers']);
    await prices.saveOfferings(tx, [offeringOf(paidKeyOf(spec), covered.offering)]);
    return null;
  }

  async #append(
    tx: Transaction,
    offeringId: Id,
    prices: readonly Pick<PriceDraft, 'effectiveFrom' | 'list' | 'contracted' | 'effective'>[],
    at: Instant,
  ): Promise<void> {
    const { store, random } = this.#deps;
    const source = sourceOf(OWN_SOURCE, at);
    const drafts = prices.map((price) => ({ ...price, id: newId(at, random), offeringId, source }));
    await store.appendPrices(tx, drafts, at);
  }

  /** Applies the discounts in force to everything: after a new price book was loaded. Writes what differs. */
  async refresh(): Promise<number> {
    const { database, store, prices, clock } = this.#deps;
    const agreed = await database.read(SCOPE, (tx) => store.inForce(tx, clock.now()));
    if (!agreed.some(({ spec }) => spec.kind === 'discount')) return 0;
    return database.write(SCOPE, async (tx) => {
      await prices.lockBook(tx);
      return this.#discountAll(tx, clock.now());
    });
  }

  /**
   * What an agreement is for costs from now on what all those that are in force say. Where none of them is, what was covered costs what it costs
   * everybody, and a machine of one's own keeps its last price.
   */
  async #reprice(tx: Transaction, spec: AgreementSpec, at: Instant): Promise<void> {
    if (spec.kind === 'discount') {
      await this.#discountAll(tx, at);
      return;
    }
    const offeringId = offeringIdOf(paidKeyOf(spec));
    const agreements = (await this.#deps.store.inForce(tx, at)).filter((one) => isFor(one.spec, offeringId));
    const rows = await this.#deps.prices.rowsOf(tx, [offeringId], Number.MAX_SAFE_INTEGER);
    const list = spec.kind === 'own_hardware' ? null : await this.#listOf(tx, spec, at);
    const observed = rows.filter((row) => !isOverride(row));
    const last = list ?? believedRowAt(observed, at)?.list ?? null;
    const alsoAt = rows.map(({ effectiveFrom }) => effectiveFrom);
    const otherwise = (begun: boolean) => (begun || rows.length > 0 ? last : null);
    await this.#append(tx, offeringId, paidPrices(agreements, at, { alsoAt, list, otherwise }), at);
  }

  async #listOf(tx: Transaction, { covers }: Commitment, at: Instant): Promise<PicoUsdPerHour | null> {
    const [covered] = await this.#deps.prices.byIds(tx, [offeringIdOf(covers)], at);
    return covered?.price?.list ?? null;
  }

  async #discountAll(tx: Transaction, at: Instant): Promise<number> {
    const { store } = this.#deps;
    const agreements = await store.inForce(tx, at);
    const listed = (await store.observed(tx, at)).filter(({ offering }) => offering.capacityType !== 'reserved');
    return store.appendPrices(
      tx,
      listed.flatMap((one) => this.#discounted(one, agreements, at)),
      at,
    );
  }

  /** The prices that differ from what stands, at `at` and at each later instant at which something changes. */
  #discounted({ offering, prices }: ObservedOffering, agreements: readonly Agreement[], at: Instant): PriceDraft[] {
    const first = prices[0];
    if (!first) return [];
    const standing = (instant: Instant) => believedRowAt(prices, Math.max(instant, first.effectiveFrom)) ?? first;
    const alsoAt = prices.map(({ effectiveFrom }) => effectiveFrom);
    const from = Math.max(at, first.effectiveFrom);
    return agreedPrices(offering, (instant) => standing(instant).list, agreements, { from, alsoAt }).flatMap((agreed) => {
      const now = standing(agreed.effectiveFrom);
      if (now.effective === agreed.effective && now.contracted === agreed.contracted) return [];
      return [{ ...agreed, id: newId(at, this.#deps.random), offeringId: offering.id, source: now.source }];
    });
  }
}

const isFor = (spec: AgreementSpec, offeringId: Id): boolean =>
  spec.kind !== 'discount' && offeringIdOf(paidKeyOf(spec)) === offeringId;

const offeringOf = (key: OfferingKey, shape: Omit<Offering, 'id' | 'capacityType' | 'interruptionBand'>): Offering => ({
  ...shape,
  id: offeringIdOf(key),
  capacityType: key.capacityType,
  interruptionBand: null,
});

function refuseChange(before: Agreement | null, spec: AgreementSpec, expected: number | null): Failure | null {
  if (isStale(before, expected)) return conflict(before);
  if (before === null || before.spec.kind === spec.kind) return null;
  return failure('ALREADY_EXISTS', `There is a ${before.spec.kind} of this name.`, { path: ['input', 'name'] });
}

const isStale = (before: Agreement | null, expected: number | null): boolean =>
  expected !== null && expected !== (before?.version ?? 0);

const conflict = (before: Agreement | null): Failure =>
  failure('CONFLICT', before ? `It is at version ${before.version} now.` : 'There is none of this name.', {
    path: ['expectedVersion'],
  });
