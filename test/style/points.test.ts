// Reads the tables of docs/development.md and looks for their words in the titles of the tests that they name.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const page = readFileSync(join(root, 'docs', 'development.md'), 'utf8');
const section = page.split('## Which test proves what')[1]?.split('\n## ')[0] ?? '';
const [points = [], faults = []] = section
  .split('| --- | --- |')
  .slice(1)
  .map((table) =>
    [...table.matchAll(/^\| ([^|]+) \| (.+) \|$/gm)].flatMap(([, words = '', files = '']) =>
      [...files.matchAll(/`([a-z0-9/-]+)`/g)].map(([, file = '']): [string, string] => [words, file]),
    ),
  );

/** Titles of groups and tests: texts that a body, or options and a body, come after. */
function titlesOf(file: string): string[] {
  const path = ['.test.ts', '.ts'].map((end) => join(root, 'test', `${file}${end}`)).find((one) => existsSync(one));
  const text = path === undefined ? '' : readFileSync(path, 'utf8');
  return [...text.matchAll(/(['"`])((?:(?!\1)[^\n])+)\1,\s*(?:\{|\(|async )/g)].map(([, , title = '']) => title);
}

describe('docs/development.md: which test proves what', () => {
  test('the tables are read', () => {
    expect(points.length).toBeGreaterThan(25);
    expect(faults.length).toBeGreaterThan(20);
  });

  test.each(points)('%s: a group in %s begins with it', (words, file) => {
    expect(titlesOf(file).filter((title) => title.startsWith(`${words}: `))).not.toEqual([]);
  });

  test.each(faults)('%s: a title in %s has it', (words, file) => {
    expect(titlesOf(file).filter((title) => title.toLowerCase().includes(words.toLowerCase()))).not.toEqual([]);
  });
});
