// The suite of bills over a part of a real FOCUS export, plain and packed, whose sums were added up apart from this code; then files that are
// damaged in every way that files are.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import { FocusBill } from '../../src/clouds/focus-bill.adapter.ts';
import { CsvReader } from '../../src/clouds/read-csv.ts';
import { parseUsd } from '../../src/kernel/money.ts';
import { billSuite } from '../support/bill-suite.ts';

const SAMPLE = readFileSync(join(import.meta.dirname, '..', 'support', 'focus-1.0-sample.csv'), 'utf8');
const day = (text: string): number => Date.parse(`${text}T00:00:00Z`);
const PERIOD = { from: day('2024-09-01'), cut: day('2024-09-15'), to: day('2024-10-01') };

const folder = mkdtempSync(join(tmpdir(), 'purser-focus-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function fileOf(text: string, end = 'csv'): string {
  files += 1;
  const file = join(folder, `${files}.${end}`);
  writeFileSync(file, end === 'csv' ? text : gzipSync(text));
  return file;
}

const COLUMNS =
  'BilledCost,BillingCurrency,ChargeCategory,ChargePeriodEnd,ChargePeriodStart,EffectiveCost,ServiceName,InvoiceId,Tags';
const row = (cost: string, change: { currency?: string; start?: string; invoice?: string; tags?: string } = {}): string => {
  const { currency = 'USD', start = '2024-09-02T00:00:00Z', invoice = '', tags = '' } = change;
  return `${cost},${currency},Usage,2024-09-03T00:00:00Z,${start},${cost},Compute,${invoice},${tags}`;
};
const billOf = (...rows: string[]) =>
  new FocusBill({ file: fileOf([COLUMNS, ...rows, ''].join('\n')) }).fetchBill(PERIOD.from, PERIOD.to);

billSuite('a FOCUS file', ['damage'], () => {
  const file = fileOf(SAMPLE);
  const broken = `${SAMPLE.split('\n')[1]?.replace('USD', 'EUR').replaceAll('Microsoft', 'AWS')}\n`;
  return {
    ...PERIOD,
    source: new FocusBill({ file, providers: ['AWS'] }),
    total: parseUsd('0.5192076977')!,
    damage: () => writeFileSync(file, SAMPLE + broken),
  };
});

billSuite('a packed FOCUS file of several providers', [], () => ({
  ...PERIOD,
  source: new FocusBill({ file: fileOf(SAMPLE, 'csv.gz') }),
  total: parseUsd('0.7797202714')!,
}));

describe('Cloud port: what a FOCUS row says', () => {
  test('more charges than memory has room for are not read to the end', async () => {
    const file = fileOf([COLUMNS, row('1'), row('2'), row('3'), ''].join('\n'));
    await expect(new FocusBill({ file, maxRows: 3 }).fetchBill(PERIOD.from, PERIOD.to)).resolves.toMatchObject({
      lines: { length: 3 },
    });
    const asked = new FocusBill({ file, maxRows: 2 }).fetchBill(PERIOD.from, PERIOD.to);
    await expect(asked).rejects.toThrow(CloudUnknown);
    await expect(asked).rejects.toThrow(/more than 2 charges/);
  });

  test('finer decimals are rounded to the pico-dollar, exponents are read, and tags that are damaged cost nothing', async () => {
    const { lines } = await billOf(
      row('0.0000000000015'),
      row('1.25E-7'),
      row('-3', { tags: '"{""team"": ""a"", ""n"": 1}"' }),
      row('1', { tags: '{"x' }),
    );
    expect(lines.map(({ billedCost }) => billedCost)).toEqual([2n, 125_000n, -3_000_000_000_000n, 1_000_000_000_000n]);
    expect(lines.map(({ tags }) => tags)).toEqual([{}, {}, { team: 'a' }, {}]);
  });

  test.each([
    ['no cost', row('')],
    ['a cost in words', row('much')],
    ['a cost without end', row('1e400')],
    ['more than all there is', row('1e13')],
    ['three hundred digits', row('1'.repeat(300))],
    ['less than nothing was ever given back', row('-1e13')],
    ['another currency', row('1', { currency: 'EUR' })],
    ['a period that ends before it begins', row('1', { start: '2024-09-04T00:00:00Z' })],
    ['a period that is none', row('1', { start: 'September' })],
  ])('a row with %s is told, and never counted', async (_, damaged) => {
    const bill = await billOf(row('2'), damaged);
    expect(bill.lines).toHaveLength(1);
    expect(bill.unreadable).toEqual([{ ref: 'row 3', reason: expect.any(String) as string }]);
  });

  test('it is final once every line is on an invoice', async () => {
    expect((await billOf(row('1', { invoice: 'I1' }))).isFinal).toBe(true);
    expect((await billOf(row('1', { invoice: 'I1' }), row('2'))).isFinal).toBe(false);
    expect((await billOf()).isFinal).toBe(false);
  });
});

describe('Cloud port: a FOCUS file that is damaged', () => {
  const fetch = (file: string) => new FocusBill({ file }).fetchBill(PERIOD.from, PERIOD.to);

  test.each([
    ['is empty', fileOf('')],
    ['is no bill', fileOf('a,b\n1,2\n')],
    ['ends in the middle of a row', fileOf(`${COLUMNS}\n${row('1')}\n1,USD,Us`)],
    ['ends in the middle of a cell', fileOf(`${COLUMNS}\n${row('1', { tags: '"{""a' })}`)],
    ['is no text', fileOf(`${COLUMNS}\n`).concat('')],
    ['is not there', join(folder, 'nowhere.csv')],
  ])('one that %s leaves the bill unknown', async (what, file) => {
    if (what === 'is no text') writeFileSync(file, Buffer.from([...Buffer.from(`${COLUMNS}\n`), 0xff, 0xfe, 0x0a]));
    await expect(fetch(file)).rejects.toThrow(CloudUnknown);
  });

  test('half of a packed one leaves the bill unknown', async () => {
    const file = fileOf(SAMPLE, 'csv.gz');
    truncateSync(file, 2_000);
    await expect(fetch(file)).rejects.toThrow(CloudUnknown);
  });
});

describe('Cloud port: comma-separated values', () => {
  test('whatever the cells hold and wherever the text is cut, they come out as they went in', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', ' ', 'é') });
    fc.assert(
      fc.property(fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { maxLength: 5 }), fc.nat(200), (records, cut) => {
        const text = records.map((cells) => `${cells.map((one) => `"${one.replaceAll('"', '""')}"`).join(',')}\n`).join('');
        const reader = new CsvReader();
        const read = [...reader.add(text.slice(0, cut)), ...reader.add(text.slice(cut))];
        expect([...read, ...(reader.end() ? [['more']] : [])]).toEqual(records);
      }),
    );
  });
});
