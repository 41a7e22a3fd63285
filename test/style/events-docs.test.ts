// Reads docs/events.md and compares its table of types with the constructors of events in src.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const page = readFileSync(join(root, 'docs', 'events.md'), 'utf8');
const words = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? '');

/** Types that a file builds: written out, or as a prefix and a word that is one of those that its declaration lists. */
function typesOf(source: string): string[] {
  const written = words(source, /'([a-z_]+\.[a-z_]+)'/g);
  const composed = [...source.matchAll(/`([a-z_]+)\.\$\{([a-z]+)\}`/g)].flatMap(([, prefix = '', name = '']) =>
    words(source, new RegExp(`(?:const ${name} =|\\b${name}:)([^;\\n]*)`, 'g'))
      .flatMap((declaration) => words(declaration, /'([a-z_]+)'/g))
      .map((word) => `${prefix}.${word}`),
  );
  return [...written, ...composed];
}

describe('docs/events.md', () => {
  test('lists every type of event that the source makes, and no other', () => {
    const files = globSync('src/*/*.events.ts', { cwd: root });
    const made = new Set(files.flatMap((file) => typesOf(readFileSync(join(root, file), 'utf8'))));
    const listed = words(page.split('## Types')[1] ?? '', /^\| `([a-z_.]+)`/gm);
    expect(made.size).toBeGreaterThan(30);
    expect([...listed].sort()).toEqual([...made].sort());
  });

  test('events are made in files of their own, where this looks', () => {
    const elsewhere = globSync('src/**/*.ts', { cwd: root }).filter(
      (file) => !file.endsWith('.events.ts') && /: EventDraft(?:\[\])? =>?\s*[({]/.test(readFileSync(join(root, file), 'utf8')),
    );
    expect(elsewhere).toEqual([]);
  });

  test('explains every field of an event', () => {
    const type = readFileSync(join(root, 'src/api/event.type.ts'), 'utf8').split('class EventType')[1]?.split('\n}\n')[0] ?? '';
    const fields = words(type, /^ {2}([a-zA-Z]+)!:/gm);
    const explained = page.split('## Read')[0] ?? '';
    expect(fields.length).toBeGreaterThan(8);
    for (const field of fields) expect(explained, `docs/events.md does not explain ${field}`).toContain(`\`${field}\``);
  });
});
