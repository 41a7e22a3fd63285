// Reads the project's own text and compares what it says with what is there: folders, settings, commands, metrics.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const folders = (path: string) => readdirSync(join(root, path)).filter((name) => statSync(join(root, path, name)).isDirectory());
const tracked = () => execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n').filter(Boolean);

/** All matches of a pattern's first group. */
const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1]!);

describe('README and docs: the prose says what is there', () => {
  test('docs/architecture.md names every folder of src, and no other', () => {
    const named = matches(read('docs/architecture.md'), /^\| `src\/([a-z]+)\/`/gm);
    expect([...named].sort()).toEqual(folders('src').sort());
  });

  test('every folder of src has a README of at most fifteen lines', () => {
    for (const folder of folders('src')) {
      const path = `src/${folder}/README.md`;
      expect(existsSync(join(root, path)), `${path} is missing`).toBe(true);
      expect(read(path).trimEnd().split('\n').length, path).toBeLessThanOrEqual(15);
    }
  });

  test('docs/operations.md explains every setting, and no other', () => {
    const settings = new Set(matches(read('src/main/config.ts'), /^ {2}(PURSER_[A-Z0-9_]+):/gm));
    const explained = new Set(matches(read('docs/operations.md'), /^\| `(PURSER_[A-Z0-9_]+)`/gm));
    expect([...explained].sort()).toEqual([...settings].sort());
  });

  test('every npm command that the pages show exists', () => {
    const scripts = Object.keys((JSON.parse(read('package.json')) as { scripts: object }).scripts);
    for (const page of ['README.md', 'CONTRIBUTING.md', 'docs/operations.md']) {
      const shown = matches(read(page), /npm (?:run )?([a-z][a-z:-]*)/g).filter((name) => !['ci', 'install'].includes(name));
      for (const name of shown) expect(scripts, `${page} shows "npm ${name}"`).toContain(name);
    }
  });

  test('every decision record has a number of its own and says why', () => {
    const records = readdirSync(join(root, 'docs/decisions')).filter((name) => name.endsWith('.md'));
    const numbers = records.map((name) => name.slice(0, 4));
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const name of records) expect(read(`docs/decisions/${name}`), name).toMatch(/## Why/);
  });

  test('the lockfile names no registry', () => {
    expect(read('package-lock.json')).not.toMatch(/"resolved": "http/);
  });

  test('no source file switches off a check or leaves work undone', () => {
    const forbidden = /eslint-disable|@ts-ignore|@ts-nocheck|@ts-expect-error|\bTODO\b|\bFIXME\b|as unknown as|\.only\(|\.todo\(/;
    const sources = tracked().filter(
      (path) => /^(src|clients|test|migrations)\/.*\.tsx?$/.test(path) && !path.includes('/generated/'),
    );
    const offenders = sources.filter(
      (path) => path !== 'test/style/prose.test.ts' && existsSync(join(root, path)) && forbidden.test(read(path)),
    );
    expect(offenders).toEqual([]);
  });

  test('tests wait for conditions and never for time', () => {
    // A random delay inside a writer is what is tested; a fixed one is a guess.
    const sleep = /await (sleep|delay|wait)\((?!Math\.random)|setTimeout\([a-zA-Z]+, *[0-9_]{3,}\)/;
    const offenders = tracked().filter(
      (path) =>
        /^test\/.*\.ts$/.test(path) &&
        !['test/style/prose.test.ts', 'test/support/eventually.ts'].includes(path) &&
        existsSync(join(root, path)) &&
        sleep.test(read(path)),
    );
    expect(offenders).toEqual([]);
  });

  test('metrics are documented', () => {
    const sources = tracked().filter(
      (path) => /\.metrics\.ts$|^src\/(api|dataplane|telemetry)\/.*\.ts$/.test(path) && existsSync(join(root, path)),
    );
    const named = sources.flatMap((path) => matches(read(path), /name: '(purser_[a-z_]+)'/g));
    const documented = matches(read('docs/operations.md'), /^\| `(purser_[a-z_]+)`/gm);
    expect([...documented].sort()).toEqual([...new Set(named)].sort());
  });
});
