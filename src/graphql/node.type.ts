import { ID, InterfaceType, Field } from 'type-graphql';
import type { Id } from '../kernel/id.ts';
import type { ApiContext } from './context.ts';

@InterfaceType('Node', {
  description: 'Anything with a global id (Relay).',
  // Rows become plain objects and not instances: who loads one says what it is.
  resolveType: (value: { readonly __typename: string }) => value.__typename,
})
export abstract class NodeType {
  @Field(() => ID, { description: 'Opaque global id; pass it back as it is.' })
  id!: string;
}

/** How `node(id)` finds one type; each feature contributes its own in its resolver file. Must answer null for what the caller may not see. */
export interface NodeSource {
  readonly typeName: string;
  load(context: ApiContext, id: Id): Promise<object | null>;
}
