// How providers are asked by REST, against an HTTP server that misbehaves as it is told.
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import { RestClient, type RestClientOptions } from '../../src/clouds/rest-client.adapter.ts';
import { seededRandom } from '../support/actors.ts';
import { HttpDouble, type DoubleAnswer } from '../support/http-double.ts';

const started: HttpDouble[] = [];
afterEach(() => {
  for (const double of started.splice(0)) double.stop();
});

async function opened(answers: readonly DoubleAnswer[], more: Partial<RestClientOptions> = {}) {
  let asked = 0;
  const answer = (): DoubleAnswer => answers[Math.min(asked++, answers.length - 1)] ?? {};
  const routes = ['GET', 'POST'].map((method) => ({ method, path: /^\/api\/things$/, query: ['page'], answer }));
  const double = await new HttpDouble({ routes, token: 'secret', words: (_, code) => ({ code }) }).start();
  started.push(double);
  const waited: number[] = [];
  const client = new RestClient({
    ...{ endpoint: `${double.url}/api/`, token: () => Promise.resolve('secret'), random: seededRandom(1) },
    ...{ limits: { timeoutMs: 300, tries: 3, maxRetryAfterMs: 5_000, maxBytes: 1_000, maxPages: 4 }, ...more },
    pause: (ms) => Promise.resolve(void waited.push(Math.round(ms))),
  });
  return { client, double, waited };
}

const Shape = z.object({ n: z.number() });
const throttled = (seconds: string): DoubleAnswer => ({ status: 429, headers: { 'retry-after': seconds }, body: {} });

describe('Cloud port: providers asked by REST', () => {
  test('a throttled call waits as long as it is told, up to a limit, and so often', async () => {
    const patient = await opened([throttled('2'), { body: { n: 1 } }]);
    expect(await patient.client.ask({ path: '/things' }, Shape)).toEqual({ n: 1 });
    expect(patient.waited).toEqual([2_000]);
    const [late, often] = [await opened([throttled('60')]), await opened([throttled('0')])];
    await expect(late.client.ask({ path: '/things' }, Shape)).rejects.toThrow(/429/);
    expect(late.waited).toEqual([]);
    await expect(often.client.ask({ path: '/things' }, Shape)).rejects.toThrow(CloudUnknown);
    expect(often.double.seen).toHaveLength(3);
  });

  test('a question that fails is asked again; a change that may have had its effect is not', async () => {
    const failing = await opened([{ status: 503, body: '<html>' }, { body: { n: 1 } }]);
    expect(await failing.client.ask({ path: '/things' }, Shape)).toEqual({ n: 1 });
    const change = await opened([{ status: 503, body: {} }, { body: { n: 1 } }]);
    await expect(change.client.send({ method: 'POST', path: '/things', body: {} })).rejects.toThrow(CloudUnknown);
    expect(change.double.seen).toHaveLength(1);
    const turnedAway = await opened([throttled('0'), { body: { n: 1 } }]);
    expect(await turnedAway.client.send({ method: 'POST', path: '/things', body: {} })).toMatchObject({ status: 200 });
  });

  test.each<[string, DoubleAnswer, RegExp]>([
    ['is no JSON', { body: '{"n":' }, /no JSON/],
    ['is larger than allowed', { body: JSON.stringify({ n: 1, more: 'x'.repeat(2_000) }) }, /larger than 1000 bytes/],
    ['is not as documented', { body: { n: 'many' } }, /not as documented: n/],
    ['is a refusal', { status: 403, body: { code: 'no' } }, /403/],
  ])('an answer that %s is none', async (_, answer, words) => {
    const { client } = await opened([answer]);
    const asked = client.ask({ path: '/things' }, Shape);
    await expect(asked).rejects.toThrow(CloudUnknown);
    await expect(asked).rejects.toThrow(words);
    await expect(asked).rejects.not.toThrow(/secret/);
  });

  test('a refusal that is nested too deeply to be told is one all the same', async () => {
    const body = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    const { client } = await opened([{ status: 400, body }], { limits: { maxBytes: 200_000 } });
    await expect(client.ask({ path: '/things' }, Shape)).rejects.toThrow(/it answered 400/);
  });

  test('what is not there is null where that is an answer', async () => {
    const { client } = await opened([{ status: 404, body: {} }]);
    expect(await client.askIfThere({ path: '/things' }, Shape)).toBeNull();
    await expect(client.ask({ path: '/things' }, Shape)).rejects.toThrow(CloudUnknown);
  });

  test('a list that leads back to itself, or has no end, is no answer', async () => {
    const next = (page: string) => ({ path: '/things', query: { page } });
    const { client } = await opened([{ body: { n: 1 } }]);
    await expect(client.pages({ path: '/things' }, Shape, () => next('1'))).rejects.toThrow(/leads back/);
    let page = 0;
    await expect(client.pages({ path: '/things' }, Shape, () => next(String((page += 1))))).rejects.toThrow(/no end/);
    const large = await opened([{ body: { n: 1, more: 'x'.repeat(500) } }], { limits: { maxBytes: 1_000, maxListBytes: 1_200 } });
    await expect(large.client.pages({ path: '/things' }, Shape, () => next(String((page += 1))))).rejects.toThrow(/larger than/);
    expect(large.double.seen).toHaveLength(3);
  });

  test('money is handed on as it was written', async () => {
    const { client } = await opened([{ body: '{"price":0.10,"small":1.5E-07,"long":0.12345678901234567890}' }], {
      numbersAsText: true,
    });
    const shape = z.object({ price: z.string(), small: z.string(), long: z.string() });
    expect(await client.ask({ path: '/things' }, shape)).toEqual({
      ...{ price: '0.10', small: '1.5E-07', long: '0.12345678901234567890' },
    });
  });

  test('a sign-in that fails or never ends leaves nothing known', async () => {
    const failing = await opened([], { token: () => Promise.reject(new Error('sign in first')) });
    await expect(failing.client.ask({ path: '/things' }, Shape)).rejects.toThrow(
      /no credentials: sign in first\. docs\/operations\.md says where/,
    );
    const hanging = await opened([], { token: () => new Promise(() => undefined) });
    await expect(hanging.client.ask({ path: '/things' }, Shape)).rejects.toThrow(CloudUnknown);
    expect(hanging.double.seen).toEqual([]);
  });

  test('the token goes to no other host', async () => {
    const { client, double } = await opened([{ body: { n: 1 } }]);
    await expect(client.ask({ path: 'http://127.0.0.1:1/things' }, Shape)).rejects.toThrow(/another host/);
    await expect(client.ask({ path: `${double.url}/api/things` }, Shape)).resolves.toEqual({ n: 1 });
  });
});
