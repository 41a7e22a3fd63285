// Generates the clients' types again, in memory, and compares them with the committed files.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { generate } from '@graphql-codegen/cli';
import { describe, expect, test } from 'vitest';
import config from '../../clients/typescript/codegen.ts';

const root = join(import.meta.dirname, '..', '..');

describe('API: the generated TypeScript client', () => {
  test('is what the schema and the documents say (npm run codegen)', async () => {
    const files = (await generate({ ...config, cwd: root, silent: true }, false)) as { filename: string; content: string }[];
    expect(files.length).toBeGreaterThanOrEqual(3);
    for (const { filename, content } of files) expect(readFileSync(join(root, filename), 'utf8'), filename).toBe(content);
  });
});
