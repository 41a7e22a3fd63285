import { PurserRefusal } from '../typescript/errors.ts';
import { graphql } from '../typescript/generated/gql.ts';
import type { DeployInput, OperatorFindDeploymentQuery } from '../typescript/generated/graphql.ts';
import type { PurserClient } from '../typescript/purser-client.ts';

const Find = graphql(`
  query OperatorFindDeployment($path: String!) {
    deployment(by: { path: $path }) {
      id
      manager
      generation
      wishedReplicas
      endpoint {
        url
      }
      revision {
        number
      }
      monthlyEstimate {
        amount
      }
      replicas {
        state
      }
      status {
        phase
        observedGeneration
        conditions {
          type
          status
          reason
          message
        }
      }
    }
  }
`);

const Deploy = graphql(`
  mutation OperatorDeploy($input: DeployInput!) {
    deploy(input: $input) {
      userErrors {
        code
        message
        hint
      }
    }
  }
`);

const Delete = graphql(`
  mutation OperatorDelete($input: DeleteDeploymentInput!) {
    deleteDeployment(input: $input) {
      userErrors {
        code
        message
        hint
      }
    }
  }
`);

const News = graphql(`
  subscription OperatorNews($after: EventCursor) {
    events(after: $after) {
      __typename
      ... on Event {
        cursor
        deploymentId
      }
      ... on Gap {
        cursor
      }
      ... on Heartbeat {
        cursor
      }
    }
  }
`);

interface UserError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | null;
}

/** What a custom resource says, in the words of `DeployInput`; the project and the name are in its path. */
export type Wish = Omit<DeployInput, 'project' | 'name' | 'manager'>;

/** The API as the operator uses it. Refusals are answers; `PurserUnavailable` is thrown when nobody answered. */
export class DeploymentsClient {
  readonly #client: PurserClient;

  constructor(client: PurserClient) {
    this.#client = client;
  }

  async find(path: string) {
    const { deployment } = await this.#client.request(Find, { path });
    return deployment ? viewOf(deployment) : null;
  }

  async deploy(path: string, wish: Wish, manager: string): Promise<UserError | null> {
    const [team = '', project = '', name = ''] = path.split('/');
    const input = { ...wish, project: { path: `${team}/${project}` }, name, manager };
    return refusalOf(async () => (await this.#client.request(Deploy, { input })).deploy.userErrors);
  }

  async remove(path: string, manager: string): Promise<UserError | null> {
    const input = { deployment: { path }, manager };
    const refusal = await refusalOf(async () => (await this.#client.request(Delete, { input })).deleteDeployment.userErrors);
    return refusal?.code === 'NOT_FOUND' ? null : refusal;
  }

  /** Told of each deployment that something happened to; null = perhaps to all. Ends when the signal aborts. */
  async follow(onChange: (deploymentId: string | null) => void, signal: AbortSignal): Promise<void> {
    const news = this.#client.follow(
      News,
      { after: null },
      { cursorOf: ({ events }) => events.cursor, signal, onBreak: () => onChange(null) },
    );
    for await (const { events } of news) {
      if (events.__typename === 'Event' && events.deploymentId) onChange(events.deploymentId);
      if (events.__typename === 'Gap') onChange(null);
    }
  }
}

const viewOf = (found: NonNullable<OperatorFindDeploymentQuery['deployment']>) => ({
  id: found.id,
  phase: found.status.phase,
  manager: found.manager ?? null,
  generation: found.generation,
  observedGeneration: found.status.observedGeneration,
  wishedReplicas: found.wishedReplicas,
  readyReplicas: found.replicas.filter(({ state }) => state === 'SERVING').length,
  revision: found.revision?.number ?? null,
  url: found.endpoint.url,
  monthlyCost: found.monthlyEstimate.amount,
  ready: found.status.conditions.find(({ type }) => type === 'Ready') ?? null,
});

/** What the server says no to as a whole (a wrong value, a token without the right) is a refusal like those of the mutation. */
async function refusalOf(ask: () => Promise<readonly UserError[]>): Promise<UserError | null> {
  try {
    const [first] = await ask();
    return first ? { ...first, message: `${first.message}${first.hint ? ` ${first.hint}` : ''}` } : null;
  } catch (error) {
    if (error instanceof PurserRefusal && error.code !== 'THROTTLED') return { code: error.code, message: error.message };
    throw error;
  }
}
