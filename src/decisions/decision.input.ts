import { ArgsType, Field, ID, Int } from 'type-graphql';
import { DEFAULT_PAGE } from '../graphql/connection.type.ts';
import type { DecisionKind } from './decision.ts';
import { DecisionKindName } from './decision.type.ts';

/** The arguments of `decisions`. */
@ArgsType()
export class DecisionsArgs {
  @Field(() => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' })
  first!: number;

  @Field(() => String, { nullable: true, description: 'Cursor to go on behind.' })
  after?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only about this.' })
  subject?: string | null;

  @Field(() => DecisionKindName, { nullable: true, description: 'Only of this kind.' })
  kind?: DecisionKind | null;
}
