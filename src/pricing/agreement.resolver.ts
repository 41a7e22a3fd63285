import { Args, Ctx, Mutation, Query, Resolver } from 'type-graphql';
import type { ApiContext } from '../graphql/context.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { toUserErrors } from '../graphql/payload.type.ts';
import { callerOf } from '../identity/identity.resolver.ts';
import type { Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import { err, type Result } from '../kernel/result.ts';
import {
  RemovePriceAgreementArgs,
  SetCommitmentArgs,
  SetDiscountArgs,
  SetOwnHardwareArgs,
  toCommitment,
  toDiscount,
  toOwnHardware,
} from './agreement.input.ts';
import { PriceAgreementPayload, PriceAgreementType, toAgreementType } from './agreement.type.ts';
import type { AgreementInput, AgreementsService } from './agreements.service.ts';

type Guards = Pick<SetDiscountArgs, 'idempotencyKey' | 'expectedVersion'>;

@Resolver(() => PriceAgreementType)
export class PriceAgreementResolver {
  readonly #service: AgreementsService;

  constructor(service: AgreementsService) {
    this.#service = service;
  }

  @Query(() => [PriceAgreementType], {
    description: 'What was agreed, in force or to come; by name. Only for platform administrators.',
  })
  async priceAgreements(@Ctx() context: ApiContext): Promise<PriceAgreementType[]> {
    return (await this.#service.list(await context.read(), context.principal)).map(toAgreementType);
  }

  @Mutation(() => PriceAgreementPayload, { description: 'Sets a discount that was negotiated.' })
  setDiscount(@Ctx() context: ApiContext, @Args(() => SetDiscountArgs) args: SetDiscountArgs): Promise<PriceAgreementPayload> {
    return this.#set(context, toDiscount(args.input), args);
  }

  @Mutation(() => PriceAgreementPayload, { description: 'Sets a reservation or a savings plan.' })
  setCommitment(
    @Ctx() context: ApiContext,
    @Args(() => SetCommitmentArgs) args: SetCommitmentArgs,
  ): Promise<PriceAgreementPayload> {
    return this.#set(context, toCommitment(args.input), args);
  }

  @Mutation(() => PriceAgreementPayload, { description: 'Sets what machines of your own cost.' })
  setOwnHardware(
    @Ctx() context: ApiContext,
    @Args(() => SetOwnHardwareArgs) args: SetOwnHardwareArgs,
  ): Promise<PriceAgreementPayload> {
    return this.#set(context, toOwnHardware(args.input), args);
  }

  @Mutation(() => PriceAgreementPayload, { description: 'Ends an agreement now; what was paid stays paid.' })
  async removePriceAgreement(
    @Ctx() context: ApiContext,
    @Args(() => RemovePriceAgreementArgs) { input, idempotencyKey, expectedVersion = null }: RemovePriceAgreementArgs,
  ): Promise<PriceAgreementPayload> {
    const caller = callerOf(context, idempotencyKey);
    return this.#answer(context, await this.#service.remove(caller, { name: input.name, expectedVersion }));
  }

  async #set(
    context: ApiContext,
    input: AgreementInput | Failure,
    { idempotencyKey, expectedVersion = null }: Guards,
  ): Promise<PriceAgreementPayload> {
    const caller = callerOf(context, idempotencyKey);
    return this.#answer(context, 'code' in input ? err(input) : await this.#service.set(caller, { ...input, expectedVersion }));
  }

  async #answer(context: ApiContext, outcome: Result<{ id: Id }, Failure>): Promise<PriceAgreementPayload> {
    await context.changed();
    if (!outcome.ok) return { agreement: null, userErrors: toUserErrors([outcome.error]) };
    const [agreement] = await this.#service.byIds(await context.read(), context.principal, [outcome.value.id]);
    return { agreement: agreement ? toAgreementType(agreement) : null, userErrors: [] };
  }
}

export const agreementNodes = (service: AgreementsService): NodeSource[] => [
  {
    typeName: 'PriceAgreement',
    load: async (context, id) => {
      const [agreement] = await service.byIds(await context.read(), context.principal, [id]);
      return agreement ? toAgreementType(agreement) : null;
    },
  },
];
