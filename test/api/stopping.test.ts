// Callers that keep their connections busy while the API stops, several times over.
import { describe, expect, test } from 'vitest';
import { startApi } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { Load } from '../support/load.ts';

describe('API: it stops', () => {
  test.each([1, 2, 3])(
    'what arrives on a connection that is there is answered; only new connections are refused (%i)',
    async () => {
      const api = await startApi();
      const headers = { authorization: `Bearer ${api.adminToken}`, 'content-type': 'application/json' };
      const load = new Load(`${api.url}/graphql`, headers, 8, JSON.stringify({ query: '{ viewer { principal { name } } }' }));
      await eventually(() => load.answers.length >= 100);
      await api.close();
      await load.stop();
      expect(load.answers.filter(({ status }) => status !== 200)).toEqual([]);
      expect([...new Set(load.failures.map((error) => (error as NodeJS.ErrnoException).code))]).toEqual(['ECONNREFUSED']);
    },
  );

  test('with a delay every answer asks its caller to come back on another connection, and new ones are taken meanwhile', async () => {
    const api = await startApi();
    const ask = () => fetch(`${api.url}/livez`);
    expect((await ask()).headers.get('connection')).toBe('keep-alive');
    const closed = api.close({ delayMs: 1_000 });
    await eventually(async () => (await ask()).headers.get('connection') === 'close');
    expect((await ask()).status).toBe(200);
    await closed;
    await expect(ask()).rejects.toThrow();
  });
});
