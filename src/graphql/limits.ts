import {
  GraphQLError,
  Kind,
  type ASTVisitor,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';

/** Tokens of a document. Higher: parsing one costs milliseconds; lower: honest generated queries are refused. */
export const MAX_TOKENS = 1_000;
/** Nesting of fields. Higher lets one document multiply pages by pages; lower refuses the introspection that clients send. */
export const MAX_DEPTH = 10;
/** Aliases, `__typename` included. Higher: one request does the work of many; lower: dashboards need several requests. */
export const MAX_ALIASES = 15;
/** How often the same field may stand in one selection set; GraphQL merges them, but only after validating every pair. */
export const MAX_REPEATS = 5;
/** Fields after all fragments are spread. Higher: a small document may still ask for thousands of fields. */
export const MAX_FIELDS = 1_000;

/** How a document looks once its fragments are spread. */
export interface DocumentShape {
  readonly depth: number;
  readonly aliases: number;
  readonly repeats: number;
  readonly fields: number;
}

interface Walk {
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  /** Fragments on the way down, against cycles (which another rule reports). */
  readonly open: Set<string>;
  aliases: number;
  repeats: number;
  fields: number;
}

/** Measures every operation of the document; stops counting beyond `MAX_FIELDS`, so that a fragment bomb costs no more than that. */
export function shapeOf(document: DocumentNode): DocumentShape {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const walk: Walk = { fragments, open: new Set(), aliases: 0, repeats: 0, fields: 0 };
  let depth = 0;
  for (const definition of document.definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) depth = Math.max(depth, depthOf(walk, definition.selectionSet, new Map()));
  }
  return { depth, aliases: walk.aliases, repeats: walk.repeats, fields: walk.fields };
}

/** Depth of a selection set; `seen` counts the fields of one set across the fragments that are spread into it. */
function depthOf(walk: Walk, set: SelectionSetNode, seen: Map<string, number>): number {
  let depth = 0;
  for (const selection of set.selections) {
    if (walk.fields > MAX_FIELDS) return depth;
    depth = Math.max(depth, depthOfSelection(walk, selection, seen));
  }
  return depth;
}

function depthOfSelection(walk: Walk, selection: SelectionSetNode['selections'][number], seen: Map<string, number>): number {
  if (selection.kind === Kind.FIELD) return depthOfField(walk, selection, seen);
  if (selection.kind === Kind.INLINE_FRAGMENT) return depthOf(walk, selection.selectionSet, seen);
  const name = selection.name.value;
  const fragment = walk.fragments.get(name);
  walk.fields += 1;
  if (!fragment || walk.open.has(name)) return 0;
  walk.open.add(name);
  const depth = depthOf(walk, fragment.selectionSet, seen);
  walk.open.delete(name);
  return depth;
}

function depthOfField(walk: Walk, field: FieldNode, seen: Map<string, number>): number {
  const key = field.alias?.value ?? field.name.value;
  const repeats = (seen.get(key) ?? 0) + 1;
  seen.set(key, repeats);
  walk.fields += 1;
  walk.repeats = Math.max(walk.repeats, repeats);
  if (field.alias) walk.aliases += 1;
  return 1 + (field.selectionSet ? depthOf(walk, field.selectionSet, new Map()) : 0);
}

/** What is too much about this shape, as one sentence; null when nothing is. */
export function excessOf(shape: DocumentShape, isIntrospection: boolean): string | null {
  if (shape.fields > MAX_FIELDS) return `The document asks for more than ${MAX_FIELDS} fields.`;
  if (shape.aliases > MAX_ALIASES) return `The document has more than ${MAX_ALIASES} aliases.`;
  if (shape.repeats > MAX_REPEATS) return `The document names one field more than ${MAX_REPEATS} times in one place.`;
  if (shape.depth > MAX_DEPTH && !isIntrospection) return `The document is nested deeper than ${MAX_DEPTH} fields.`;
  return null;
}

/** True if all that is asked for is the schema itself: its size bounds the answer, and standard clients ask 13 deep. */
export const isIntrospection = (document: DocumentNode): boolean =>
  document.definitions.every(
    (definition) =>
      definition.kind !== Kind.OPERATION_DEFINITION ||
      definition.selectionSet.selections.every(
        (selection) => selection.kind === Kind.FIELD && selection.name.value.startsWith('__'),
      ),
  );

/** True for what `limitsRule`, or the parser's own count of tokens, refused. */
export const isBeyondLimits = (error: GraphQLError): boolean =>
  error.extensions.isBeyondLimits === true ||
  error.message.startsWith(`Syntax Error: Document contains more than ${MAX_TOKENS} tokens`);

/** Text that the database can hold: no NUL, no half of a surrogate pair. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** The limits as a validation rule. */
export const limitsRule: ValidationRule = (context: ValidationContext): ASTVisitor => ({
  Document(document) {
    const excess = excessOf(shapeOf(document), isIntrospection(document));
    if (excess) context.reportError(new GraphQLError(excess, { extensions: { code: 'LIMIT_EXCEEDED', isBeyondLimits: true } }));
    return excess ? false : undefined;
  },
  StringValue(node) {
    if (isStorable(node.value)) return;
    const message = 'A text has a character that cannot be stored (NUL).';
    context.reportError(new GraphQLError(message, { nodes: node, extensions: { code: 'BAD_USER_INPUT' } }));
  },
});
