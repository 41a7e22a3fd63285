// Reads docs/cli.md and compares its table of exit codes and its commands with the program.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCli } from '../../clients/cli/cli.ts';
import { EXIT_MEANINGS } from '../../clients/cli/exit-codes.ts';

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'cli.md'), 'utf8');

describe('docs/cli.md', () => {
  test('has the exit codes of the program', () => {
    const rows = [...page.matchAll(/^\| (\d) \| (.+) \|$/gm)].map(([, code, meaning]) => [code, meaning]);
    expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(Object.entries(EXIT_MEANINGS)));
  });

  test('names every command that the help names', async () => {
    let help = '';
    await runCli(['--help'], {
      env: {},
      write: (text) => void (help += text),
      writeError: () => undefined,
      stopped: () => new AbortController().signal,
    });
    const listed = [...(help.split('Commands:')[1]?.split('Processes')[0] ?? '').matchAll(/^ {2}([a-z]+)/gm)].map(
      ([, name]) => name,
    );
    const table = page.split('## For scripts')[0] ?? '';
    const named = [...table.matchAll(/(?:`|purser )([a-z]+)(?=[ `\n])/g)].map(([, name]) => name);
    const commands = listed.filter((name) => name !== 'help');
    expect(commands.length).toBeGreaterThan(15);
    for (const name of commands) expect(named, `docs/cli.md does not name ${String(name)}`).toContain(name);
  });
});
