// Builds the schema from the code, without a database, and compares it with the committed one; lints that; looks for missing descriptions.
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ESLint } from 'eslint';
import {
  buildSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  type GraphQLNamedType,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { makeSchema, schemaText } from '../../src/api/schema.ts';

const path = join(import.meta.dirname, '..', '..', 'schema', 'schema.graphql');

/** Everything about a type that has no description. */
function undescribed(type: GraphQLNamedType): string[] {
  const missing = type.description ? [] : [type.name];
  const at = (parts: readonly { name: string; description?: string | null | undefined }[], prefix: string) =>
    parts.filter(({ description }) => !description).map(({ name }) => `${prefix}${name}`);
  if (isEnumType(type)) return [...missing, ...at(type.getValues(), `${type.name}.`)];
  if (isInputObjectType(type)) return [...missing, ...at(Object.values(type.getFields()), `${type.name}.`)];
  if (!isObjectType(type) && !isInterfaceType(type)) return missing;
  const fields = Object.values(type.getFields());
  return [
    ...missing,
    ...at(fields, `${type.name}.`),
    ...fields.flatMap((field) => at(field.args, `${type.name}.${field.name} `)),
  ];
}

describe('API: the schema', () => {
  test('the committed file is what the code says (npm run schema)', () => {
    expect(readFileSync(path, 'utf8')).toBe(schemaText());
  });

  test('it is a schema on its own', () => {
    expect(() => buildSchema(readFileSync(path, 'utf8'))).not.toThrow();
  });

  test('every type, field, argument and enum value has a description', () => {
    const types = Object.values(makeSchema().getTypeMap()).filter(
      (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
    );
    expect(types.flatMap(undescribed)).toEqual([]);
  });

  test('money is never a float', () => {
    expect(schemaText()).not.toMatch(/\bFloat\b.*(?:cost|price|amount|usd|spend)/i);
  });

  test('every mutation takes an idempotency key and answers with user errors', () => {
    const schema = makeSchema();
    for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
      expect(
        field.args.map(({ name }) => name),
        field.name,
      ).toContain('idempotencyKey');
      const payload = schema.getType(String(field.type).replace('!', ''));
      expect(isObjectType(payload) && 'userErrors' in payload.getFields(), field.name).toBe(true);
    }
  });

  test('every mutation of a deployment can be planned first: dryRun, planHash, plan and expectedVersion', () => {
    const fields = Object.values(makeSchema().getMutationType()?.getFields() ?? {});
    const payloads = fields.filter(({ type }) => {
      const payload = makeSchema().getType(String(type).replace('!', ''));
      return isObjectType(payload) && 'deployment' in payload.getFields();
    });
    expect(payloads.map(({ name }) => name).sort()).toEqual([
      'deleteDeployment',
      'deploy',
      'rollback',
      'scaleDeployment',
      'setTraffic',
    ]);
    for (const field of payloads) {
      const names = field.args.map(({ name }) => name);
      expect(names, field.name).toEqual(expect.arrayContaining(['dryRun', 'planHash', 'expectedVersion']));
      const payload = makeSchema().getType(String(field.type).replace('!', ''));
      expect(isObjectType(payload) && Object.keys(payload.getFields()), field.name).toEqual(
        expect.arrayContaining(['plan', 'shownPlan', 'decision']),
      );
    }
  });

  test('every change of what is there takes the version that its caller has seen', () => {
    // Things that are only made, and changes that mean the same whatever was there before.
    const without = /^(create|register|archive|grant|revoke)|^(setPriceOverride|decideQuarantinedPrice)$/;
    for (const { name, args } of Object.values(makeSchema().getMutationType()?.getFields() ?? {})) {
      if (!without.test(name))
        expect(
          args.map((arg) => arg.name),
          name,
        ).toContain('expectedVersion');
    }
  });

  test('graphql-eslint finds nothing: recommended and Relay rules', async () => {
    const plugin = (await import('@graphql-eslint/eslint-plugin')).default;
    const rules = { ...plugin.configs['flat/schema-recommended'].rules, ...plugin.configs['flat/schema-relay'].rules };
    const lint = new ESLint({
      overrideConfigFile: true,
      overrideConfig: [
        {
          files: ['**/*.graphql'],
          plugins: { '@graphql-eslint': plugin },
          languageOptions: { parser: plugin.parser, parserOptions: { graphQLConfig: { schema: path } } },
          rules: {
            ...(rules as object),
            // Fields such as Token.token say what they are best by their own name.
            '@graphql-eslint/no-typename-prefix': 'off',
            // Entities have ids; values such as Money, conditions and payloads have none.
            '@graphql-eslint/strict-id-in-types': 'off',
            // Besides `edges` a connection has `nodes`, and short lists are plain. Looks at the past are values without an id of their own:
            // what they show may be gone, and Relay's connection spec lets an edge's node be any object.
            '@graphql-eslint/relay-edge-types': ['error', { listTypeCanWrapOnlyEdgeType: false, shouldImplementNode: false }],
            // Lists go forward only: `first` and `after`, never `last` and `before`.
            '@graphql-eslint/relay-arguments': ['error', { includeBoth: false }],
          },
        },
      ],
    });
    const [result] = await lint.lintFiles([path]);
    expect(result?.messages.map(({ line, message, ruleId }) => `${line} ${ruleId}: ${message}`)).toEqual([]);
  });
});
