// Asks the API over HTTP for the costs of a replica whose minutes are still open; figures are the ledger's own, to the last digit.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toGlobalId } from '../../src/graphql/global-id.ts';
import { newId } from '../../src/kernel/id.ts';
import { costOfInterval, formatUsd } from '../../src/kernel/money.ts';
import { seededRandom } from '../support/actors.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { addPrice, addReplica, makeCostedWorld, type CostedWorld } from '../support/costed-world.ts';

const FROM = Date.parse('2026-11-01T10:00:00Z');
const UNTIL = FROM + 150_000;
const RATE = 96_000_000_007n;
const RANGE = { from: '2026-11-01T10:00:00.000Z', to: '2026-11-01T10:02:30.000Z' };
const COSTS = `query ($range: TimeRange!, $groupBy: [CostDimension!]!, $filter: CostFilter) {
  costs(range: $range, groupBy: $groupBy, filter: $filter, step: HOUR) {
    total { amount currency } isEstimate reconciledUntil unpricedMs effectiveRange { from to }
    rows { key { dimension value } period cost { amount } busy { amount } idle { amount } starting { amount } requests unitCost { amount } } } }`;

let api: TestApi;
let world: CostedWorld;

beforeAll(async () => {
  api = await startApi();
  const random = seededRandom(5);
  world = await api.db.database.write({ kind: 'reconciler', loop: 'test' }, async (tx) => {
    const made = await makeCostedWorld(tx, 6, 'acme');
    await addPrice(tx, made, { id: newId(FROM, random), rate: RATE, from: 0, observedAt: 1 });
    await addReplica(tx, made, { id: newId(FROM, random), from: FROM, until: UNTIL, transitions: [[FROM + 30_000, 'serving']] });
    return made;
  });
});
afterAll(() => api.close());

describe('API: costs in any grouping', () => {
  test('a breakdown says the whole cost, its parts, and that it is an estimate', async () => {
    const { data } = await api.gql<{ costs: object }>(COSTS, { variables: { range: RANGE, groupBy: ['DEPLOYMENT'] } });
    const usd = (from: number, to: number) => ({ amount: formatUsd(costOfInterval(RATE, from, to)) });
    expect(data?.costs).toEqual({
      total: { ...usd(FROM, UNTIL), currency: 'USD' },
      isEstimate: true,
      reconciledUntil: RANGE.from,
      unpricedMs: 0,
      effectiveRange: { from: RANGE.from, to: '2026-11-01T10:03:00.000Z' },
      rows: [
        {
          key: [{ dimension: 'DEPLOYMENT', value: 'acme/acme/acme' }],
          period: RANGE.from,
          cost: usd(FROM, UNTIL),
          busy: { amount: '0' },
          idle: usd(FROM + 30_000, UNTIL),
          starting: usd(FROM, FROM + 30_000),
          requests: 0,
          unitCost: null,
        },
      ],
    });
  });

  test('a model tells its own costs, and a filter on nothing tells none', async () => {
    const model = await api.gql<{ model: { costs: { total: { amount: string } } } }>(
      `query ($range: TimeRange!) { model(by: { path: "acme/acme/acme" }) { costs(range: $range) { total { amount } } } }`,
      { variables: { range: RANGE } },
    );
    expect(model.data?.model.costs.total.amount).toBe(formatUsd(costOfInterval(RATE, FROM, UNTIL)));
    for (const deployment of ['nonsense', toGlobalId('Deployment', world.teamId)]) {
      const { data } = await api.gql<{ costs: object }>(COSTS, {
        variables: { range: RANGE, groupBy: [], filter: { deployment } },
      });
      expect(data?.costs).toMatchObject({ total: { amount: '0' }, rows: [], isEstimate: false });
    }
  });

  test('another team sees nothing of it', async () => {
    const { token } = await api.tokenFor('viewer', 'others');
    const { data } = await api.gql<{ costs: object }>(COSTS, { token, variables: { range: RANGE, groupBy: ['DEPLOYMENT'] } });
    expect(data?.costs).toMatchObject({ total: { amount: '0' }, rows: [], isEstimate: false });
  });
});
