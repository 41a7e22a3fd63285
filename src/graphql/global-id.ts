import { isId, type Id } from '../kernel/id.ts';

/** An id that no row has: a wrong global id is as absent as a foreign one. */
export const NOWHERE: Id = '00000000-0000-0000-0000-000000000000';

/** An opaque global id: base64url of `<GraphQL type>:<uuid>`. */
export const toGlobalId = (typeName: string, id: Id): string => Buffer.from(`${typeName}:${id}`).toString('base64url');

/** The parts of a global id; null when it is not one. */
export function fromGlobalId(globalId: string): { readonly typeName: string; readonly id: Id } | null {
  const [typeName, id, ...rest] = Buffer.from(globalId, 'base64url').toString('utf8').split(':');
  if (!typeName || !id || rest.length > 0 || !isId(id)) return null;
  return { typeName, id };
}

/** The row id inside a global id of that very type, else null: a foreign type is as absent as a random string. */
export function idOfType(typeName: string, globalId: string): Id | null {
  const parts = fromGlobalId(globalId);
  return parts?.typeName === typeName ? parts.id : null;
}
