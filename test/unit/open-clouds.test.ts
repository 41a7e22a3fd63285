// Writes files as an operator would and opens what they name; nobody is asked anything.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/main/config.ts';
import { openClouds, type Clouds } from '../../src/main/open-clouds.ts';
import { seededRandom } from '../support/actors.ts';

const folder = mkdtempSync(join(tmpdir(), 'purser-clouds-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function opened(content: unknown, nodeCommand: string | null = null): Clouds {
  const cloudsFile = join(folder, 'clouds.json');
  writeFileSync(cloudsFile, typeof content === 'string' ? content : JSON.stringify(content));
  const clock = { now: () => 1_800_000_000_000 };
  return openClouds({ config: { cloudsFile, nodeCommand, dataDir: folder }, clock, random: seededRandom(1) });
}

describe('Clouds by configuration: the file', () => {
  test('nothing is configured unless somebody does', () => {
    const clock = { now: () => 0 };
    const none = openClouds({ config: { cloudsFile: null, nodeCommand: null, dataDir: folder }, clock, random: seededRandom(1) });
    expect(none).toEqual({ clouds: [], providers: new Map(), feeds: new Map() });
  });

  test('a provider has the name that pools give; the command of the environment stays what it was', () => {
    const { clouds, providers } = opened({ rack: { kind: 'command', command: ['/opt/rent', '--rack'] } }, '/opt/other');
    expect([...providers.keys()]).toEqual(['rack', 'command']);
    expect(clouds.map(({ name, kind, prices }) => [name, kind, prices])).toEqual([
      ['rack', 'command', null],
      ['command', 'command', null],
    ]);
  });

  test.each([
    ['{', 'no JSON'],
    [[], 'PURSER_CLOUDS_FILE'],
    [{ rack: {} }, 'rack.kind'],
    [{ rack: { kind: 'abacus' } }, 'rack.kind: there is no "abacus": one of command, simulated'],
    [{ 'my rack': { kind: 'command', command: ['x'] } }, 'my rack: a name must be 1 to 63 of'],
    [{ rack: { kind: 'command' } }, 'rack.command'],
    [{ rack: { kind: 'command', command: ['x'], sceret: 1 } }, 'sceret'],
    [{ rack: { kind: 'command', command: ['x'], prices: { regions: ['a/b'] } } }, 'rack.prices: command says no prices'],
    [{ rack: { kind: 'command', command: ['x'], prices: { regions: ['a'] } } }, 'must be provider/region'],
    [{ feeds: [{ kind: 'oracle', regions: ['a/b'] }] }, 'feeds.0.kind'],
  ])('%j is refused in a sentence that names what is wrong', (content, words) => {
    expect(() => opened(content)).toThrow(ConfigError);
    expect(() => opened(content)).toThrow(words);
  });

  test('two of one name are refused', () => {
    expect(() => opened({ command: { kind: 'command', command: ['x'] } }, '/opt/rent')).toThrow('two called command');
  });
});
