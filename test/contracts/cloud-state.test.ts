// Two processes on one folder, as two objects: who was first wins, and what a process that died left behind is not read.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, describe, test } from 'vitest';
import { FileState } from '../../src/clouds/file-state.adapter.ts';

const folders: string[] = [];
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'purser-state-'));
  folders.push(made);
  return made;
};
afterEach(() => {
  for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true });
});

describe('Cloud port: what a provider remembers in files', () => {
  test('nothing, then what was saved last, for everybody', async () => {
    const place = join(folder(), 'not', 'made', 'yet');
    const state = new FileState(place);
    expect(await state.load()).toBeNull();
    for (let n = 0; n < 12; n += 1) expect(await state.save(`state ${n}`, n)).toBe(true);
    expect(await new FileState(place).load()).toEqual({ version: 12, text: 'state 11' });
    expect(readdirSync(place).length).toBeLessThan(6);
  });

  test('of many who save after the same version one succeeds, and what it saved is there', async () => {
    const place = folder();
    await new FileState(place).save('begin', 0);
    for (let round = 1; round < 20; round += 1) {
      const all = await Promise.all(Array.from({ length: 8 }, (_, n) => new FileState(place).save(`${round} by ${n}`, round)));
      const winners = all.flatMap((won, n) => (won ? [n] : []));
      expect(winners).toHaveLength(1);
      expect(await new FileState(place).load()).toEqual({ version: round + 1, text: `${round} by ${winners[0]}` });
    }
  });

  test('whoever slept while others went on is told so, and nobody reads what they wrote', async () => {
    const place = folder();
    const state = new FileState(place);
    for (let n = 0; n < 30; n += 1) await state.save(`state ${n}`, n);
    for (const after of [0, 5, 25, 29]) expect(await new FileState(place).save('from the past', after)).toBe(false);
    expect(await state.load()).toEqual({ version: 30, text: 'state 29' });
    expect(await state.save('on', 30)).toBe(true);
  });

  test('a draft that a process left behind when it died is not read', async () => {
    const place = folder();
    const state = new FileState(place);
    await state.save('whole', 0);
    writeFileSync(join(place, 'draft-0123'), '{"half');
    expect(await state.load()).toEqual({ version: 1, text: 'whole' });
  });
});
