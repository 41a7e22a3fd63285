// Generates, from the schema itself, a call for every place in every query, mutation and subscription that names a thing, sends it as each kind of
// caller with the name of another team's thing and with the name of nothing, and compares the answers byte for byte.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeSchema } from '../../src/api/schema.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { startApi, type Answer, type TestApi } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { rootFields, type RootField, type Slot } from '../support/schema-calls.ts';
import { furnish, nothing, type Belongings } from '../support/two-teams.ts';

/** What everybody who is signed in may see: there is no foreign one. */
const SHARED: Readonly<Record<string, string>> = {
  Offering: 'the market is the same for every team',
  PriceFeed: 'who says prices is the same for every team',
  QuarantinedPrice: 'what is not believed of the market is the same for every team',
};

/** Fields that name nothing, with what they are judged by instead. */
const NAMELESS = new Set([
  'Query.viewer',
  'Query.teams',
  'Query.principals',
  'Query.tokens',
  'Query.clusters',
  'Query.clouds',
  'Query.cloudBill',
  'Query.offerings',
  'Query.priceHistory',
  'Query.priceFeeds',
  'Query.quarantinedPrices',
  'Query.priceAgreements',
  'Query.regions',
  'Query.asOf',
]);
/** Mutations of the platform alone: no team's caller may tell more than that. */
const OF_THE_PLATFORM = new Set([
  'Mutation.createTeam',
  'Mutation.registerCluster',
  'Mutation.setPriceOverride',
  'Mutation.setDiscount',
  'Mutation.setCommitment',
  'Mutation.setOwnHardware',
  'Mutation.removePriceAgreement',
  'Mutation.refreshPrices',
]);

const FIELDS = rootFields(makeSchema(), {
  names: {
    'CreateTeamInput.name': 'Team',
    'CostFilter.callerTeam': 'Team',
  },
  ids: { 'Query.decisions.subject': 'Deployment' },
  // The name of a device, as in the price book; of an entry of the configuration.
  notNames: ['AcceleratorInput.model', 'ReplicaRateInput.accelerator', 'Query.cloudBill.cloud'],
  values: {
    'SetModelAliasInput.version': 1,
    'SetQuotaInput.maximum': '1',
    'Query.asOf.instant': '2020-01-01T00:00:00Z',
    'GrantInput.role': 'VIEWER',
    'RegisterModelVersionInput.artifactDigest': `sha256:${'0'.repeat(64)}`,
  },
  types: {
    String: 'a-name',
    Int: 1,
    Boolean: false,
    Decimal: '1',
    DateTime: '2100-01-01T00:00:00Z',
    Duration: 'PT1H',
    JSON: {},
    BigInt: 1,
    Float: 1,
  },
});

const ROLES = ['anonymous', 'other team', 'viewer', 'operator', 'admin'] as const;
type Caller = (typeof ROLES)[number];

let api: TestApi;
let foreign: Belongings;
let own: Belongings;
const absent = nothing('nobodies');
const tokens = new Map<Caller, string | null>([['anonymous', null]]);

beforeAll(async () => {
  api = await startApi();
  tokens.set('other team', (await api.tokenFor('team_admin', 'bystander')).token);
  tokens.set('viewer', (await api.tokenFor('viewer', 'ours')).token);
  tokens.set('operator', (await api.tokenFor('operator', 'ours')).token);
  tokens.set('admin', (await api.tokenFor('team_admin', 'ours')).token);
  await api.tokenFor('viewer', 'theirs');
  own = await furnish(api.db.superUrl, 'ours');
  foreign = await furnish(api.db.superUrl, 'theirs');
  // Answers about events say how far the log was read: it has to stand still.
  await eventually(() =>
    api.db.database.read(
      { kind: 'reconciler', loop: 'test' },
      async (tx) => (await sqlOf(tx).query(`select 1 from outbox limit 1`)).length === 0,
    ),
  );
});
afterAll(() => api.close());

const nameIn = (belongings: Belongings, slot: Slot): string => {
  const found = belongings[slot.kind];
  if (!found) throw new Error(`${slot.place} names a ${slot.kind}: add one to test/support/two-teams.ts.`);
  return found[slot.form];
};

/** The call with the given thing in one place and the caller's own things in all others. */
function call(field: RootField, slot: Slot | null, belongings: Belongings, caller: Caller): Promise<Answer> {
  const { query, variables } = field.request(slot, (place) =>
    nameIn(place.place === slot?.place && place.kind === slot.kind ? belongings : own, place),
  );
  const token = tokens.get(caller) ?? null;
  return field.name.startsWith('Subscription.') ? firstDelivery(query, variables, token) : api.gql(query, { token, variables });
}

/** The first message of a subscription over server-sent events: what it delivers at once, or that it is over. */
async function firstDelivery(query: string, variables: object, token: string | null): Promise<Answer> {
  const stop = new AbortController();
  const response = await fetch(`${api.url}/graphql/stream`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query, variables }),
    signal: stop.signal,
  });
  let text = '';
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk).toString();
    if (/^event: (next|complete)[^]*\n\n/m.test(text)) break;
  }
  stop.abort();
  const errors = text.includes('"errors"') ? { errors: [] } : {};
  return {
    status: response.status,
    headers: response.headers,
    text: response.status === 200 ? JSON.stringify(text) : text,
    data: null,
    ...errors,
  };
}

/** All that a caller can see of an answer, but for the request id and the cost. */
function visible({ status, headers, text }: Answer): string {
  const kept = [...headers].filter(([name]) => !['date', 'purser-request-id', 'content-length'].includes(name));
  const body = JSON.stringify(JSON.parse(text), (key, value: unknown) =>
    key === 'requestId' || key === 'cost' ? undefined : value,
  );
  return JSON.stringify({ status, kept, body });
}

const isRefused = (field: RootField, answer: Answer): boolean =>
  field.name.startsWith('Mutation.') ? answer.text.includes('"NOT_FOUND"') : answer.status === 200 && answer.errors === undefined;

describe('Foreign and absent are the same answer, byte for byte', () => {
  for (const field of FIELDS) {
    for (const slot of field.slots.filter(({ kind }) => !(kind in SHARED))) {
      test(`${slot.place}) as ${slot.form} of ${slot.kind}`, async () => {
        const compare = async (caller: Caller): Promise<void> => {
          const random = await call(field, slot, absent, caller);
          const other = await call(field, slot, foreign, caller);
          expect(visible(other), caller).toBe(visible(random));
          const refused = caller === 'anonymous' ? random.status === 401 : isRefused(field, random);
          expect(refused, `${caller}: ${random.text}`).toBe(true);
        };
        await Promise.all(ROLES.map(compare));
      });
    }
  }
});

describe('What a caller may not do to what it may see is the same answer as for nothing', () => {
  for (const field of FIELDS.filter(({ name, slots }) => name.startsWith('Mutation.') && slots.length > 0)) {
    test(`${field.name} by a viewer`, async () => {
      // Roles are looked up first, where the viewer may see teams and projects anyway.
      for (const slot of field.slots.filter(({ kind, place }) => !(kind in SHARED) && !/grant|scope/.test(place))) {
        expect(visible(await call(field, slot, own, 'viewer')), slot.place).toBe(
          visible(await call(field, slot, absent, 'viewer')),
        );
      }
    });
  }
});

describe('The comparison can fail', () => {
  for (const field of FIELDS.filter(({ isLookUp }) => isLookUp)) {
    test(`${field.name} tells an administrator of its own things more than of nothing`, async () => {
      for (const slot of field.slots.filter(
        ({ kind }) => !['Cluster', 'ClusterNode', 'Pool', 'PriceAgreement', ...Object.keys(SHARED)].includes(kind),
      )) {
        expect(visible(await call(field, slot, own, 'admin')), `${slot.place} ${slot.kind}`).not.toBe(
          visible(await call(field, slot, absent, 'admin')),
        );
      }
    });
  }
});

describe('Lists show nothing of another team', () => {
  for (const field of FIELDS.filter(({ name }) => name.startsWith('Query.'))) {
    test(field.name, async () => {
      if (field.slots.length === 0) expect(NAMELESS, `${field.name} names nothing: is that right?`).toContain(field.name);
      const names = ['Team', 'Project', 'Principal', 'Token', 'Model', 'ModelVersion', 'Deployment'].map(
        (kind) => foreign[kind]!.id,
      );
      for (const caller of ROLES) {
        const answer = await call(field, null, own, caller);
        expect(answer.status, answer.text).toBe(caller === 'anonymous' ? 401 : 200);
        expect([...names, '"theirs'].filter((name) => answer.text.includes(name))).toEqual([]);
      }
    });
  }
});

describe('Every mutation names what it changes', () => {
  for (const field of FIELDS.filter(
    ({ name, slots }) => name.startsWith('Mutation.') && slots.every(({ form }) => form === 'name'),
  )) {
    test(`${field.name} is of the platform and refused to every team`, async () => {
      expect(OF_THE_PLATFORM).toContain(field.name);
      const answers = await Promise.all(
        ROLES.filter((caller) => caller !== 'anonymous').map((caller) => call(field, null, own, caller)),
      );
      for (const answer of answers) expect(answer.text).toContain('"NOT_FOUND"');
      expect(new Set(answers.map(visible)).size).toBe(1);
    });
  }
});
