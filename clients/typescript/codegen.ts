import type { CodegenConfig } from '@graphql-codegen/cli';

/** Types for every operation that the clients send, from the committed schema. */
const config: CodegenConfig = {
  schema: 'schema/schema.graphql',
  documents: [
    'clients/cli/**/*.ts',
    'clients/operator/**/*.ts',
    'clients/dashboard/src/**/*.{ts,tsx}',
    '!clients/typescript/generated/**',
  ],
  generates: {
    'clients/typescript/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: 'string',
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        scalars: { DateTime: 'string', Decimal: 'string', BigInt: 'number', JSON: 'unknown', EventCursor: 'string' },
      },
    },
  },
  importExtension: '.ts',
};

export default config;
