// Runs the published audits of the GraphQL-over-HTTP draft against a server on a test database.
import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type TestApi } from '../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

/** What a CSRF-safe server refuses on purpose: GETs that a page of another site could send. */
const isNotice = (status: string) => status === 'ok' || status === 'notice';

describe('GraphQL over HTTP', () => {
  test('the audits find no error and no warning', async () => {
    const fetchFn = (url: string, init: RequestInit = {}) =>
      fetch(url, { ...init, headers: { ...(init.headers as object), authorization: `Bearer ${api.adminToken}` } });
    const audits = serverAudits({ url: `${api.url}/graphql`, fetchFn });
    const results = await Promise.all(audits.map((audit) => audit.fn()));
    const found = results
      .filter(({ status }) => !isNotice(status))
      .map((result) => `${result.id} ${result.name}: ${'reason' in result ? result.reason : ''}`);
    expect(found).toEqual([]);
    expect(results.filter(({ status }) => status === 'ok').length).toBeGreaterThanOrEqual(58);
  });
});
