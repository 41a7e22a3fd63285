import { isInputObjectType, type GraphQLSchema } from 'graphql';

const oneOfInputs = new Set<string>();

/** Marks an input type as `@oneOf` (type-graphql cannot say it): exactly one of its fields may be given. */
export const oneOf = (name: string): string => {
  oneOfInputs.add(name);
  return name;
};

/** To be called once on the built schema. */
export function applyOneOf(schema: GraphQLSchema): GraphQLSchema {
  for (const name of oneOfInputs) {
    const type = schema.getType(name);
    if (isInputObjectType(type)) type.isOneOf = true;
  }
  return schema;
}
