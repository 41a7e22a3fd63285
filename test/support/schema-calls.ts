import {
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  type GraphQLField,
  type GraphQLInputObjectType,
  type GraphQLInputType,
  type GraphQLLeafType,
  type GraphQLOutputType,
  type GraphQLSchema,
} from 'graphql';

/** How a thing is named: by its global id, its path, or (where a name must be unique in the installation) its bare name. */
export type Form = 'id' | 'path' | 'name';

/** A place in a root field's arguments that names a thing. */
export interface Slot {
  /** `Mutation.createToken(input.scope[].team.path)`. */
  readonly place: string;
  /** GraphQL type of the thing. */
  readonly kind: string;
  readonly form: Form;
}

export interface RootField {
  /** `Query.team`. */
  readonly name: string;
  readonly slots: readonly Slot[];
  /** The field answers one thing that may be absent. */
  readonly isLookUp: boolean;
  /** The request; `name` gives the text for every slot that is filled, `at` the one place that must be. */
  request(at: Slot | null, name: (slot: Slot) => string): { readonly query: string; readonly variables: Record<string, unknown> };
}

/** What no type says: names that are unique in the installation, and values that must mean something to get as far as the look-up. */
export interface Hints {
  /** `InputType.field` or `Query.field.argument` → the kind whose names it takes. */
  readonly names: Readonly<Record<string, string>>;
  /** Likewise → the kind whose ids it takes. */
  readonly ids: Readonly<Record<string, string>>;
  /** Likewise: text that is called like a type but names no row. */
  readonly notNames: readonly string[];
  /** Likewise → a value. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Type name → a value, for scalars and enums. */
  readonly types: Readonly<Record<string, unknown>>;
}

/** Depth of selections. Higher: documents grow beyond the API's limits; lower: connections show no nodes. */
const DEPTH = 3;
/** Arguments that never name anything, although they are text. */
const OPAQUE = new Set(['after', 'idempotencyKey', 'planHash']);

/** How a scalar can name a row. */
const FORMS: Readonly<Record<string, readonly Form[]>> = { ID: ['id'], String: ['id', 'path'] };

/** Every query, mutation and subscription of the schema, with the places where it takes a name; throws for an ID of an unknown kind. */
export function rootFields(schema: GraphQLSchema, hints: Hints): RootField[] {
  const builder = new CallBuilder(schema, hints);
  return [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    type ? Object.values(type.getFields()).map((field) => builder.field(type.name, field)) : [],
  );
}

class CallBuilder {
  readonly #schema: GraphQLSchema;
  readonly #hints: Hints;

  constructor(schema: GraphQLSchema, hints: Hints) {
    this.#schema = schema;
    this.#hints = hints;
  }

  field(root: string, field: GraphQLField<unknown, unknown>): RootField {
    const name = `${root}.${field.name}`;
    const slots = field.args.flatMap((arg) => this.#slotsOf(arg.type, `${name}.${arg.name}`, `${name}(${arg.name}`, []));
    const type = getNamedType(field.type);
    return {
      name,
      slots,
      isLookUp:
        root === 'Query' &&
        !isNonNullType(field.type) &&
        !isListType(field.type) &&
        (isObjectType(type) || isInterfaceType(type)),
      request: (at, nameOf) => {
        const args = field.args.filter((arg) => isRequiredArgument(arg) || at?.place.startsWith(`${name}(${arg.name}`));
        const declared = args.map((arg) => `$${arg.name}: ${String(arg.type)}`).join(', ');
        const passed = args.map((arg) => `${arg.name}: $${arg.name}`).join(', ');
        const variables = Object.fromEntries(
          args.map((arg) => [
            arg.name,
            this.#value(arg.type, { key: `${name}.${arg.name}`, place: `${name}(${arg.name}`, at, nameOf, slots }),
          ]),
        );
        const selected = this.#selection(field.type, DEPTH);
        const query = `${root.toLowerCase()}${declared && `(${declared})`} { ${field.name}${passed && `(${passed})`} ${selected} }`;
        return { query, variables };
      },
    };
  }

  #slotsOf(type: GraphQLInputType, key: string, place: string, seen: readonly string[]): Slot[] {
    const nullable = getNullableType(type);
    if (isListType(nullable)) return this.#slotsOf(nullable.ofType, key, `${place}[]`, seen);
    if (!isInputObjectType(nullable)) return this.#leafSlots(nullable.name, key, place);
    if (seen.includes(nullable.name)) return [];
    const by = /^(\w+)By$/.exec(nullable.name)?.[1];
    return Object.values(nullable.getFields()).flatMap((field): Slot[] => {
      const inside = `${place}.${field.name}`;
      if (by && nullable.isOneOf && (field.name === 'id' || field.name === 'path'))
        return [{ place: inside, kind: by, form: field.name }];
      return this.#slotsOf(field.type, `${nullable.name}.${field.name}`, inside, [...seen, nullable.name]);
    });
  }

  /** `token: ID` names a Token, `project: String` a Project by id or path, `id: ID` anything. */
  #leafSlots(typeName: string, key: string, place: string): Slot[] {
    const unique = this.#hints.names[key];
    if (unique) return [{ place, kind: unique, form: 'name' }];
    const last = key.split('.').at(-1) ?? '';
    if (OPAQUE.has(last) || this.#hints.notNames.includes(key)) return [];
    const forms = FORMS[typeName] ?? [];
    return this.#kindsNamedBy(last, key, typeName).flatMap((kind) => forms.map((form) => ({ place, kind, form })));
  }

  #kindsNamedBy(last: string, key: string, typeName: string): readonly string[] {
    const told = this.#hints.ids[key];
    if (told) return [told];
    const kind = last.charAt(0).toUpperCase() + last.slice(1).replace(/Id$/, '');
    if (isObjectType(this.#schema.getType(kind)) || ['Deployment', 'Revision', 'Replica'].includes(kind)) return [kind];
    if (typeName !== 'ID') return [];
    if (last === 'id' || last === 'ids') return this.#schema.getImplementations(this.#nodeType()).objects.map(({ name }) => name);
    throw new Error(`${key} is an ID, but of what? Name the argument after its type.`);
  }

  #nodeType() {
    const node = this.#schema.getType('Node');
    if (!isInterfaceType(node)) throw new Error('the schema has no interface Node');
    return node;
  }

  #value(type: GraphQLInputType, spot: Spot): unknown {
    const nullable = getNullableType(type);
    if (spot.at?.place === spot.place && !isListType(nullable)) return spot.nameOf(spot.at);
    if (spot.key in this.#hints.values) return this.#hints.values[spot.key];
    if (isListType(nullable)) return [this.#value(nullable.ofType, { ...spot, place: `${spot.place}[]` })];
    if (isInputObjectType(nullable)) return this.#objectValue(nullable, spot);
    return this.#leafValue(nullable, spot);
  }

  #leafValue(type: GraphQLLeafType, spot: Spot): unknown {
    const own = spot.slots.find((slot) => slot.place === spot.place);
    if (own) return spot.nameOf(own);
    if (type.name in this.#hints.types) return this.#hints.types[type.name];
    if (isEnumType(type)) return type.getValues()[0]?.name;
    throw new Error(`${spot.key}: no value for the type ${type.name}.`);
  }

  /** Of a one-of the field that leads to the slot, else the first; of others the required fields and the one that leads to the slot. */
  #objectValue(type: GraphQLInputObjectType, spot: Spot): Record<string, unknown> {
    const fields = Object.values(type.getFields());
    const leads = (name: string) =>
      spot.at !== null && new RegExp(`^${escape(`${spot.place}.${name}`)}(?![A-Za-z])`).test(spot.at.place);
    const chosen = type.isOneOf
      ? [fields.find((field) => leads(field.name)) ?? fields[0]!]
      : fields.filter(
          (field) => isRequiredInputField(field) || leads(field.name) || `${type.name}.${field.name}` in this.#hints.values,
        );
    return Object.fromEntries(
      chosen.map((field) => [
        field.name,
        this.#value(field.type, { ...spot, key: `${type.name}.${field.name}`, place: `${spot.place}.${field.name}` }),
      ]),
    );
  }

  /** All scalars, and objects down to a depth; of connections only the nodes, so that the estimate of the cost stays small. */
  #selection(type: GraphQLOutputType, depth: number): string {
    const named = getNamedType(type);
    if (isLeafType(named)) return '';
    if (!isObjectType(named) && !isInterfaceType(named)) return '{ __typename }';
    const parts = Object.values(named.getFields()).flatMap((field) => {
      if (field.args.some(isRequiredArgument) || field.name === 'edges') return [];
      if (isLeafType(getNamedType(field.type))) return [field.name];
      return depth > 1 ? [`${field.name} ${this.#selection(field.type, depth - 1)}`] : [];
    });
    return `{ ${['__typename', ...parts].join(' ')} }`;
  }
}

/** Where a value is being made. */
interface Spot {
  readonly key: string;
  readonly place: string;
  readonly at: Slot | null;
  readonly nameOf: (slot: Slot) => string;
  readonly slots: readonly Slot[];
}

const escape = (text: string): string => text.replace(/[.[\]()]/g, '\\$&');
