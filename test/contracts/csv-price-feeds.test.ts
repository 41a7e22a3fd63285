// The suite of every source of prices on tables in a file and behind a real HTTP server that breaks off, hangs and refuses as it is told to.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import { CsvPriceFeed, priceCsvFeed, skypilotFeed } from '../../src/pricing/csv-price-feed.adapter.ts';
import { parseSkypilot } from '../../src/pricing/parse-skypilot.ts';
import type { CloudTrouble } from '../support/cloud-provider-suite.ts';
import { priceFeedSuite } from '../support/price-feed-suite.ts';

const OWN = `provider,region,instance_type,cpu_milli,memory_mib,on_demand_usd_per_hour,spot_usd_per_hour
rack,cellar,big,64000,262144,1.25,0.5
rack,cellar,small,4000,16384,0.08,
rack,attic,small,4000,16384,0.09,
`;
const SKYPILOT = `InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Price,SpotPrice,Region,AvailabilityZone
gpu_1x_a10,30.0,200.0,A10,1.0,,0.75,,us-east-1,
gpu_8x_a100,124.0,1800.0,A100,8.0,,10.32,,us-east-1,
gpu_1x_a10,30.0,200.0,A10,1.0,,0.75,,us-west-1,
`;

let folder = '';
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'purser-tables-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function ownTable() {
  files += 1;
  const path = join(folder, `${files}.csv`);
  await writeFile(path, OWN);
  return {
    feed: priceCsvFeed('ours', { path }),
    regions: ['rack/cellar', 'rack/attic'] as const,
    damage: () => writeFile(path, `${OWN}rack,cellar,broken,some,1,1,\n`),
  };
}

async function served(text: string) {
  const state: { trouble: CloudTrouble | 'breaks off' | null; text: string } = { trouble: null, text };
  const server = createServer((_, response) => {
    if (state.trouble === 'hangs') return;
    if (state.trouble === 'throttled' || state.trouble === 'broken') {
      response.writeHead(state.trouble === 'broken' ? 500 : 429).end();
      return;
    }
    const bytes = Buffer.from(state.text);
    response.writeHead(200, { 'content-length': bytes.length });
    if (state.trouble === 'breaks off') response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
    else response.end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/vms.csv`;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { state, url, close };
}

priceFeedSuite('a table in a file', ['lists', 'damage'], ownTable);

priceFeedSuite('a SkyPilot catalogue behind an address', ['lists', 'damage', 'trouble'], async () => {
  const { state, url, close } = await served(SKYPILOT);
  return {
    feed: new CsvPriceFeed({ name: 'lambda', place: { url }, parse: (text) => parseSkypilot(text, 'lambda'), timeoutMs: 300 }),
    regions: ['lambda/us-east-1', 'lambda/us-west-1'],
    close,
    damage: () => {
      state.text = `${SKYPILOT}gpu_1x_h100,many,200.0,H100,1.0,,2.49,,us-east-1,\n`;
    },
    trouble: (how) => {
      state.trouble = how;
    },
  };
});

describe('Prices from tables: what is not there, or not all of it, is unknown', () => {
  test('an answer that breaks off', async () => {
    const { state, url, close } = await served(SKYPILOT);
    state.trouble = 'breaks off';
    try {
      await expect(skypilotFeed('lambda', { provider: 'lambda', url }).observePrices(['lambda/us-east-1'])).rejects.toThrow(
        CloudUnknown,
      );
    } finally {
      await close();
    }
  });

  test('more lines than anybody can look at, before anything is made of them', async () => {
    const path = join(folder, 'endless.csv');
    await writeFile(path, OWN + '\n'.repeat(20_000_000));
    const before = process.memoryUsage().heapUsed;
    await expect(priceCsvFeed('ours', { path }).observePrices(['rack/cellar'])).rejects.toThrow('more than 300000 lines');
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100 * 1024 * 1024);
  });

  test('a table that changed between its two questions is read anew, and tells its edition', async () => {
    const path = join(folder, 'edited.csv');
    await writeFile(path, OWN);
    const feed = priceCsvFeed('ours', { path });
    await feed.listOfferings(['rack/cellar']);
    const first = await feed.observePrices(['rack/cellar']);
    expect((await feed.observePrices(['rack/cellar'])).edition).toBe(first.edition);
    await feed.listOfferings(['rack/cellar']);
    await writeFile(path, OWN.replace('1.25', '1.3'));
    const second = await feed.observePrices(['rack/cellar']);
    expect(second.edition).not.toBe(first.edition);
    expect(second.prices.map(({ amount }) => amount)).toContain('1.3');
  });

  test('a file that is not there', async () => {
    const feed = priceCsvFeed('ours', { path: join(folder, 'none.csv') });
    await expect(feed.observePrices(['rack/cellar'])).rejects.toThrow(CloudUnknown);
  });
});
