import { Field, InputType } from 'type-graphql';
import type { Instant } from '../kernel/instant.ts';
import { DateTime } from './scalars.ts';

@InputType('TimeRange', { description: 'A half-open range of time, `[from, to)`.' })
export class TimeRangeInput {
  @Field(() => DateTime, { description: 'First instant of the range.' })
  from!: Instant;

  @Field(() => DateTime, { description: 'First instant after the range.' })
  to!: Instant;
}
