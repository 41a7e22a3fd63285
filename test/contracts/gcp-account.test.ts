// What Google says of a project (rights, quotas, the answers of its services), against strict doubles.
import { afterEach, describe, expect, test } from 'vitest';
import { GcpCloud } from '../../src/clouds/gcp/gcp-cloud.adapter.ts';
import { GcpSettings } from '../../src/clouds/gcp/gcp-settings.adapter.ts';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import { seededRandom } from '../support/actors.ts';
import { GcpDouble, PROJECT, TOKEN } from '../support/gcp-double.ts';
import { GcpPriceDouble } from '../support/gcp-price-double.ts';
import { DoubleRefusal, strictly, type DoubleRoute } from '../support/http-double.ts';
import { z } from 'zod';

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

const TestBody = z.strictObject({ permissions: z.array(z.string().regex(/^[a-z]+\.[a-zA-Z]+\.[a-zA-Z]+$/)).max(100) });

/** A project whose owner may do everything but `denied`. */
class Facts {
  denied: string[] = [];
  cpus = 4;

  routes(): DoubleRoute[] {
    return [
      {
        ...{ method: 'GET', path: new RegExp(`^/resources/projects/${PROJECT}$`) },
        answer: () => ({ body: { name: `projects/415`, projectId: PROJECT, displayName: 'Team', state: 'ACTIVE' } }),
      },
      {
        ...{ method: 'POST', path: new RegExp(`^/resources/projects/${PROJECT}:testIamPermissions$`), isRead: true },
        answer: ({ body }) => {
          const permissions = strictly(TestBody, body).permissions.filter((one) => !this.denied.includes(one));
          return { body: permissions.length > 0 ? { permissions } : {} };
        },
      },
      {
        ...{ method: 'GET', path: new RegExp(`^/compute/projects/${PROJECT}/regions/(?<region>[^/]+)$`) },
        answer: ({ names }) => {
          if (names['region'] !== 'us-central1') throw new DoubleRefusal(404, 'notFound', 'no such region');
          const quota = (metric: string, usage: number, limit: number) => ({ metric, usage, limit });
          return {
            body: { quotas: [quota('CPUS', this.cpus, 100), quota('PREEMPTIBLE_CPUS', 0, 0), quota('NETWORKS', 1, 5)] },
          };
        },
      },
    ];
  }
}

async function opened(more: Readonly<Record<string, unknown>> = {}) {
  const facts = new Facts();
  const double = new GcpDouble(facts.routes());
  const prices = new GcpPriceDouble();
  for (const { http } of [double, prices]) {
    await http.start();
    stops.push(() => http.stop());
  }
  const { url } = double.http;
  const endpoints = {
    ...{ compute: `${url}/compute`, container: `${url}/container`, resourceManager: `${url}/resources` },
    billing: `${prices.http.url}/billing`,
  };
  const settings = GcpSettings.parse({
    ...{ projectId: PROJECT, endpoints, deadlineMs: 200, regions: ['us-central1'] },
    ...{ clusters: [{ name: 'east', location: 'us-central1' }], ...more },
  });
  const options = { name: 'gcp', settings, clock: { now: () => double.now }, random: seededRandom(2) };
  const cloud = new GcpCloud({ ...options, token: () => Promise.resolve(TOKEN), pause: () => Promise.resolve() });
  return { cloud, double, prices, facts };
}

describe('Clouds check: Google Cloud', () => {
  const found = async (change: (made: Awaited<ReturnType<typeof opened>>) => unknown, more = {}) => {
    const made = await opened(more);
    change(made);
    return (await made.cloud.check()).map(({ aspect, status, message }) => `${aspect} ${status}: ${message}`);
  };

  test('a project that can be used is told with rights, quotas, notices and prices', async () => {
    expect(await found(() => undefined)).toEqual([
      `credentials ok: Project ${PROJECT} (Team).`,
      'permissions ok: Pools can be made, scaled and given back.',
      'quota ok: us-central1: in use: 4 of 100 CPUS.',
      'notices ok: Preemptions can be read; 0 are open.',
      'prices ok: The price catalogue answers.',
      'bill unknown: No bill is named: export it from BigQuery as FOCUS, and name the file in `bill`.',
    ]);
  });

  test('what is lacking is named, and what to do about it', async () => {
    const findings = await found(
      ({ facts }) => {
        facts.denied = ['compute.instances.create', 'container.clusters.update'];
        facts.cpus = 100;
      },
      { bill: { from: 'focus', file: '/nowhere/bill.csv' } },
    );
    expect(findings).toEqual(
      expect.arrayContaining([
        'permissions failed: Not allowed: compute.instances.create, container.clusters.update: grant a role that has them.',
        'quota failed: us-central1: no CPU is free (100 of 100 CPUS): ask for a higher quota.',
        'bill failed: The FOCUS file /nowhere/bill.csv cannot be read: export it there.',
      ]),
    );
  });

  test('a region that is not there has failed; a service that does not answer is unknown', async () => {
    const findings = await found(({ prices }) => prices.http.trouble('hangs'), { regions: ['us-nowhere1'] });
    expect(findings).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^quota failed: .*404/),
        expect.stringMatching(/^prices unknown: .*no answer within/),
      ]),
    );
  });

  test('a bill that is not named is unknown', async () => {
    await expect((await opened()).cloud.fetchBill(0, 1)).rejects.toThrow(CloudUnknown);
  });
});
