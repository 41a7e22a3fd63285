import { record } from '../events/event-log.ts';
import { mayDo, mayDoSomewhere, PLATFORM } from '../identity/authorize.ts';
import type { Caller } from '../identity/identity.service.ts';
import type { Clock } from '../kernel/clock.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Commands } from '../persistence/commands.ts';
import type { AgreementStore } from './agreement-store.port.ts';
import type { DoubtCode } from './judge-price.ts';
import { movesOf, outlookOf } from './move-price.ts';
import { agreedMoves, sourceOf } from './plan-reading.ts';
import type { PriceRow } from './price-book.ts';
import { priceAccepted, priceChanged, priceDismissed } from './price.events.ts';
import type { FeedState, PriceFeedStore, QuarantinedPrice, QuarantineQuestion } from './price-feed-store.port.ts';
import type { PricedOffering, PriceStore } from './price-store.port.ts';

export interface PriceFeedsServiceDeps {
  readonly commands: Commands;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: PriceFeedStore;
  readonly prices: PriceStore;
  readonly agreements: AgreementStore;
}

export type QuarantineDecision = 'accept' | 'dismiss';

/** What a person can vouch for: the amount is one, only too different, too new or contradicted. */
const ACCEPTABLE: ReadonlySet<DoubtCode> = new Set<DoubtCode>([
  'NOT_NEWER',
  'IMPLAUSIBLE',
  'FAR_FROM_LAST',
  'FAR_FROM_LIST',
  'FEEDS_DISAGREE',
  'UNCONFIRMED_JUMP',
  'FIRST_SEEN',
]);

export const isAcceptable = ({ code, state, amount, offeringId }: QuarantinedPrice): boolean =>
  state === 'open' && ACCEPTABLE.has(code) && amount !== null && offeringId !== null;

/** Who says prices, and what a person decides about those that are not believed. */
export class PriceFeedsService {
  readonly #deps: PriceFeedsServiceDeps;

  constructor(deps: PriceFeedsServiceDeps) {
    this.#deps = deps;
  }

  /** By name; empty for callers who may see no prices. */
  async feeds(tx: Transaction, principal: Principal): Promise<FeedState[]> {
    return mayDoSomewhere(principal, 'price.read') ? this.#deps.store.feeds(tx) : [];
  }

  /** Newest first; one more than `first` where there are more. Empty for callers who may see no prices. */
  async quarantined(tx: Transaction, principal: Principal, question: QuarantineQuestion): Promise<QuarantinedPrice[]> {
    return mayDoSomewhere(principal, 'price.read') ? this.#deps.store.quarantined(tx, question) : [];
  }

  /** Null for absent and for forbidden. */
  async quarantinedById(tx: Transaction, principal: Principal, id: Id): Promise<QuarantinedPrice | null> {
    return mayDoSomewhere(principal, 'price.read') ? this.#deps.store.quarantinedById(tx, id) : null;
  }

  /** Believes a quarantined price, from its date on where that is to come; or leaves the last good one in force until the feed says something else. */
  decide(
    caller: Caller,
    input: { readonly id: Id; readonly decision: QuarantineDecision },
  ): Promise<Result<{ id: Id }, Failure>> {
    return this.#deps.commands.run({ ...caller, mutation: 'decideQuarantinedPrice', body: { ...input } }, (tx) =>
      this.#decide(tx, caller.principal, input),
    );
  }

  async #decide(
    tx: Transaction,
    principal: Principal,
    { id, decision }: { readonly id: Id; readonly decision: QuarantineDecision },
  ): Promise<Result<{ id: Id }, Failure>> {
    const { store, clock, prices } = this.#deps;
    // What feeds say meanwhile, and what others decide, comes before it or after.
    await prices.lockBook(tx);
    const row = mayDo(principal, 'price.write', PLATFORM) ? await store.lockQuarantined(tx, id) : null;
    if (!row) return err(notFound('quarantined price', ['input', 'quarantinedPrice']));
    const refusal = refuse(row, decision);
    if (refusal) return err(refusal);
    const at = clock.now();
    if (decision === 'accept') await this.#believe(tx, row, { at, principal });
    await store.decide(tx, row, { state: decision === 'accept' ? 'accepted' : 'dismissed', at, by: principal.id });
    const { offeringId } = row;
    if (offeringId !== null) {
      const version = (await store.versions(tx, [offeringId])).get(offeringId) ?? 1;
      const tell = decision === 'accept' ? priceAccepted : priceDismissed;
      record(tx, tell({ ...row, offeringId }, { version, at, principal: principal.id }));
    }
    return ok({ id });
  }

  async #believe(
    tx: Transaction,
    row: QuarantinedPrice,
    { at, principal }: { readonly at: Instant; readonly principal: Principal },
  ): Promise<void> {
    const { prices, agreements, random } = this.#deps;
    const [before] = row.offeringId === null ? [] : await prices.byIds(tx, [row.offeringId], at);
    if (!before || row.amount === null) return;
    const { amount, row: said } = row;
    const inForce = await agreements.inForce(tx, at);
    const facts = { observedAt: at, source: sourceOf(row.feed, at), state: 'believed', offeringId: before.offering.id } as const;
    const outlook = outlookOf(await prices.rowsOf(tx, [before.offering.id], Number.MAX_SAFE_INTEGER), at);
    const moves = movesOf({ amount, effectiveFrom: said.effectiveFrom }, outlook, at);
    const rows = agreedMoves(before.offering, moves, inForce).map((agreed) => ({ ...agreed, ...facts, id: newId(at, random) }));
    for (const one of rows) await prices.append(tx, one, principal.id);
    await this.#tellChange(tx, before, { at, principal: principal.id, next: rows[0] ?? null });
  }

  async #tellChange(
    tx: Transaction,
    { offering, price: before }: PricedOffering,
    { next, ...cause }: { readonly at: Instant; readonly principal: string; readonly next: PriceRow | null },
  ): Promise<void> {
    if (!next) return;
    const { store, prices } = this.#deps;
    const [now] = await prices.byIds(tx, [offering.id], cause.at);
    const version = (await store.versions(tx, [offering.id])).get(offering.id) ?? 1;
    const after = next.effectiveFrom > cause.at ? next : (now?.price ?? null);
    record(tx, priceChanged({ offering, before, after, version, ...cause }));
  }
}

function refuse(row: QuarantinedPrice, decision: QuarantineDecision): Failure | null {
  if (row.state !== 'open')
    return failure('PRECONDITION_FAILED', `It is ${row.state} already.`, { path: ['input', 'quarantinedPrice'] });
  if (decision === 'dismiss' || isAcceptable(row)) return null;
  return failure('PRECONDITION_FAILED', `Nobody can vouch for it: ${row.message}`, {
    path: ['input', 'decision'],
    hint: 'Set the price with setPriceOverride, or dismiss the row.',
  });
}
