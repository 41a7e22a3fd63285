import {
  coerceInputValue,
  GraphQLError,
  Kind,
  typeFromAST,
  isInputType,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { isBeyondLimits, isStorable } from './limits.ts';

const VALUE_NODES = new Set([
  'IntValue',
  'FloatValue',
  'StringValue',
  'BooleanValue',
  'NullValue',
  'EnumValue',
  'ListValue',
  'ObjectValue',
]);
const ABOUT_NAMES = /^Field "[\w.]+" (of required type|is not defined by type)/;
const ABOUT_TYPE = /^(?:Expected value of type "[\w![\]]+"|\w+ cannot represent [a-z0-9 -]*value)/;

/** The library's sentence about a refused document without the values that the caller wrote: they may be secrets in the wrong place. */
export function safeMessage(error: GraphQLError): string {
  const at = error.locations?.[0];
  const where = at ? ` (line ${at.line}, column ${at.column})` : '';
  if (isBeyondLimits(error)) return error.message.replace(/^Syntax Error: /, '');
  if (error.message.startsWith('Syntax Error')) return `Syntax error${where}.`;
  if (!isAboutValue(error)) return error.message;
  const start = ABOUT_TYPE.exec(error.message);
  return start ? `${start[0]}${where}.` : `This value is not valid here${where}.`;
}

const isAboutValue = ({ message, nodes }: GraphQLError): boolean =>
  VALUE_NODES.has(nodes?.[0]?.kind ?? '') && !ABOUT_NAMES.test(message);

/** Most errors reported about one set of variables. Higher: a long list of wrong items makes a long answer. */
const MAX_ERRORS = 10;

/** What is wrong with the variables, naming each field and never its value. Execution would say the same with the values in it. */
export function checkVariables(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): GraphQLError[] {
  const errors: GraphQLError[] = [];
  for (const definition of operation.variableDefinitions ?? []) {
    const name = definition.variable.name.value;
    const type = typeFromAST(schema, definition.type as never);
    if (!isInputType(type)) continue;
    const given = Object.hasOwn(variables, name) ? variables[name] : undefined;
    if (given === undefined && (definition.defaultValue || definition.type.kind !== Kind.NON_NULL_TYPE)) continue;
    coerceInputValue(given ?? null, type, (path, _value, { message }) => {
      if (errors.length >= MAX_ERRORS) return;
      const place = path.length > 0 ? ` at "${[name, ...path].join('.')}"` : '';
      const why = ABOUT_NAMES.test(message) ? ` ${message}` : '';
      errors.push(badInput(`Variable "$${name}" does not fit its type ${String(type)}${place}.${why}`));
    });
    if (!holdsStorable(given)) errors.push(badInput(`Variable "$${name}" has a character that cannot be stored (NUL).`));
  }
  return errors;
}

/** Of any JSON, however deep it is nested: nothing here calls itself. */
function holdsStorable(value: unknown): boolean {
  const left = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next === 'string' && !isStorable(next)) return false;
    if (typeof next === 'object' && next !== null) left.push(...Object.keys(next), ...(Object.values(next) as unknown[]));
  }
  return true;
}

const badInput = (message: string) =>
  new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', http: { status: 400 } } });
