// Follows what the project's pages point at: files, headings inside them, and the tests that the README names as proof.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const pages = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(root, path)));

/** The anchor that a heading gets. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-');

function isThere(page: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : relative(root, join(root, dirname(page), path));
  if (!existsSync(join(root, file))) return false;
  if (anchor === undefined) return true;
  return [...read(file).matchAll(/^#+ (.+)$/gm)].some(([, heading = '']) => anchorOf(heading) === anchor);
}

describe('README and docs: links and proofs', () => {
  test('point at files and headings that are there', () => {
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, target = '']) => target)
        .filter((target) => !/^[a-z]+:/.test(target) && !isThere(page, target))
        .map((target) => `${page}: ${target}`),
    );
    expect(pages.length).toBeGreaterThan(10);
    expect(broken).toEqual([]);
  });

  test('name tests that are there, and the README proves every promise with one', () => {
    const named = pages.flatMap((page) =>
      [...read(page).matchAll(/`(test\/[a-z0-9/-]+\.test\.ts)`/g)].map(([, path = '']) => path),
    );
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    const promises = read('README.md').split('## Promises held so far')[1]?.split('Not there yet')[0] ?? '';
    const rows = promises.split('\n').filter((line) => line.startsWith('| ') && !/^\| (promise|---)/.test(line));
    expect(rows.length).toBeGreaterThan(5);
    for (const row of rows) expect(row).toMatch(/\| `test\/.+\.test\.ts`/);
  });
});
