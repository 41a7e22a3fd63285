// Tables of inputs and the exact text a person or a script sees.
import { describe, expect, test } from 'vitest';
import { runCli } from '../../clients/cli/cli.ts';
import { makeOutput, money, table } from '../../clients/cli/output.ts';

describe('CLI output', () => {
  test.each([
    ['0', '$0.00'],
    ['1.5', '$1.50'],
    ['12.345678', '$12.3456'],
    ['0.000000123456', '$0.000000123'],
    ['-2', '-$2.00'],
  ])('shows %s USD as %s', (amount, shown) => {
    expect(money(amount)).toBe(shown);
  });

  test('aligns columns and leaves no trailing blanks', () => {
    expect(
      table(
        ['name', 'phase'],
        [
          ['a', 'READY'],
          ['longer', ''],
        ],
      ),
    ).toBe('NAME    PHASE\na       READY\nlonger');
  });

  test('prints one JSON document and no notes with --json', () => {
    const lines: string[] = [];
    const output = makeOutput(
      true,
      (text) => lines.push(text),
      (text) => lines.push(text),
    );
    output.note('for people');
    output.result({ a: 1 }, () => 'text');
    expect(lines).toEqual(['{"a":1}\n']);
  });

  test('the list of commands fits 120 columns', async () => {
    const text: string[] = [];
    const write = (words: string): void => void text.push(words);
    await runCli(['help'], { env: {}, write, writeError: write, stopped: () => new AbortController().signal });
    const wide = text
      .join('')
      .split('\n')
      .filter(({ length }) => length > 120);
    expect(wide).toEqual([]);
    expect(text.join('')).toContain('\nCommands:\n');
  });
});
