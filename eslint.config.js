import tseslint from 'typescript-eslint';

/** House rules that a linter can see; the rest is in test/style. */
export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'clients/typescript/generated/**', '.purser*/**', '**/*.cjs', '**/*.mjs', 'eslint.config.js'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      complexity: ['error', 10],
      'max-depth': ['error', 3],
      'max-params': ['error', 4],
      'max-lines': ['error', { max: 400 }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'no-console': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true, allow: [{ from: 'lib', name: ['Error', 'URL'] }] }],
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true, allowEmpty: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // GraphQL and entity classes name shapes; plain objects fill them.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
    },
  },
  // A suite is one long function by nature; its cases are not.
  { files: ['test/**/*.ts'], rules: { 'max-lines-per-function': 'off', '@typescript-eslint/no-non-null-assertion': 'off' } },
  // Command-line programs print.
  { files: ['clients/cli/**/*.ts', 'src/main/**/*.ts', 'test/bench/**/*.ts'], rules: { 'no-console': 'off' } },
  // Only main/ reads the clock, randomness and the environment (house rule 1).
  {
    files: ['src/**/*.ts'],
    ignores: ['src/main/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'Take a Clock or `now` as a parameter.' },
        { object: 'Math', property: 'random', message: 'Take a Random as a parameter.' },
        { object: 'process', property: 'env', message: 'Take configuration as a parameter.' },
      ],
      'no-restricted-syntax': ['error', { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: 'Take a Clock or `now` as a parameter.' }],
    },
  },
);
