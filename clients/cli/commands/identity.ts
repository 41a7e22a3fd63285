import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { GrantInput, Role, TeamsQuery } from '../../typescript/generated/graphql.ts';
import type { PurserClient } from '../../typescript/purser-client.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { table } from '../output.ts';
import { allNodes } from '../pages.ts';
import { found, refuse } from '../refusals.ts';

const Teams = graphql(`
  query Teams($after: String) {
    teams(first: 20, after: $after) {
      nodes {
        name
        projects(first: 100) {
          nodes {
            path
            maxReplicas
            maxSpendPerHour {
              amount
            }
          }
          pageInfo {
            hasNextPage
            endCursor
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

const TeamProjects = graphql(`
  query TeamProjects($team: String!, $after: String) {
    team(by: { path: $team }) {
      projects(first: 100, after: $after) {
        nodes {
          path
          maxReplicas
          maxSpendPerHour {
            amount
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
`);

const CreateTeam = graphql(`
  mutation CreateTeam($input: CreateTeamInput!, $idempotencyKey: String) {
    createTeam(input: $input, idempotencyKey: $idempotencyKey) {
      team {
        id
        name
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const CreateProject = graphql(`
  mutation CreateProject($input: CreateProjectInput!, $idempotencyKey: String) {
    createProject(input: $input, idempotencyKey: $idempotencyKey) {
      project {
        id
        path
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const Principals = graphql(`
  query Principals($after: String) {
    principals(first: 100, after: $after) {
      nodes {
        id
        name
        kind
        grants {
          role
          scope
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

const CreatePrincipal = graphql(`
  mutation CreatePrincipal($input: CreatePrincipalInput!, $idempotencyKey: String) {
    createPrincipal(input: $input, idempotencyKey: $idempotencyKey) {
      principal {
        id
        name
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const Tokens = graphql(`
  query Tokens($after: String) {
    tokens(first: 100, after: $after) {
      nodes {
        id
        name
        hint
        principalId
        createdAt
        expiresAt
        revokedAt
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

const CreateToken = graphql(`
  mutation CreateToken($input: CreateTokenInput!, $idempotencyKey: String) {
    createToken(input: $input, idempotencyKey: $idempotencyKey) {
      secret
      token {
        id
        name
        expiresAt
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const RevokeToken = graphql(`
  mutation RevokeToken($input: RevokeTokenInput!, $idempotencyKey: String) {
    revokeToken(input: $input, idempotencyKey: $idempotencyKey) {
      token {
        id
        name
        revokedAt
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

export function addIdentityCommands(program: Command, cli: () => Cli): void {
  const teams = program.command('teams').description('list the teams and their projects, or make one');
  teams
    .command('list', { isDefault: true })
    .description('list the teams and their projects')
    .action(() => listTeams(cli()));
  teams
    .command('create <team>')
    .description('make a team')
    .action((name: string) => createTeam(cli(), name));

  const projects = program.command('projects').description('list the projects, or make one');
  projects
    .command('list', { isDefault: true })
    .description('list the teams and their projects')
    .action(() => listTeams(cli()));
  projects
    .command('create <project>')
    .description('make a project (team/project)')
    .action((path: string) => createProject(cli(), path));

  const principals = program.command('principals').description('list the service accounts and people, or make one');
  principals
    .command('list', { isDefault: true })
    .description('list them with their roles')
    .action(() => listPrincipals(cli()));
  principals
    .command('create <name>')
    .description('make a service account')
    .requiredOption('--role <role>', ROLES.join(', ').toLowerCase())
    .requiredOption('--on <scope>', 'team or team/project that the role is on, or "platform"')
    .action((name: string, options: { role: string; on: string }) => createPrincipal(cli(), name, options));

  const tokens = program.command('tokens').description('list, make or revoke tokens');
  tokens
    .command('list', { isDefault: true })
    .description('list them; secrets are never shown again')
    .action(() => listTokens(cli()));
  tokens
    .command('create <name>')
    .description('make a token; its secret is printed once')
    .requiredOption('--principal <id>', 'whom it speaks for (see: purser principals)')
    .option('--expires-at <instant>', 'RFC 3339; without it the token does not expire')
    .action((name: string, options: { principal: string; expiresAt?: string }) => createToken(cli(), name, options));
  tokens
    .command('revoke <id>')
    .description('revoke a token; routers refuse it within a second')
    .action((id: string) => revokeToken(cli(), id));
}

async function listTeams({ client, output }: Cli): Promise<void> {
  const api = client();
  const seen = await allNodes(async (after) => (await api.request(Teams, { after })).teams);
  const rows = await Promise.all(
    seen.map(async ({ name, projects }) => ({ name, projects: await projectsOf(api, name, projects) })),
  );
  output.result(
    rows.map(({ name, projects }) => ({ name, projects: { nodes: projects } })),
    () => table(['team', 'project', 'max replicas', 'max spend per hour'], rows.flatMap(teamRows)),
  );
}

type Projects = TeamsQuery['teams']['nodes'][number]['projects'];

/** The first page is there; the rest of a large team is asked for. */
async function projectsOf(api: PurserClient, team: string, { nodes, pageInfo }: Projects): Promise<Projects['nodes']> {
  if (!pageInfo.hasNextPage) return nodes;
  const first = pageInfo.endCursor ?? null;
  const rest = await allNodes(
    async (after) => found((await api.request(TeamProjects, { team, after: after ?? first })).team, 'team').projects,
  );
  return [...nodes, ...rest];
}

const teamRows = ({ name, projects }: { readonly name: string; readonly projects: Projects['nodes'] }): string[][] =>
  projects.length === 0
    ? [[name, '-', '-', '-']]
    : projects.map((project) => [name, project.path, String(project.maxReplicas), `$${project.maxSpendPerHour.amount}`]);

async function createTeam({ client, output }: Cli, name: string): Promise<void> {
  const { createTeam: payload } = await client().request(CreateTeam, { input: { name }, idempotencyKey: randomUUID() });
  refuse(payload.userErrors);
  output.result(payload.team, () => `Made team ${name}. Next: purser projects create ${name}/PROJECT`);
}

async function createProject({ client, output }: Cli, path: string): Promise<void> {
  const [team, name, ...rest] = path.split('/');
  if (!team || !name || rest.length > 0) throw new CommandFailure(`"${path}" must be team/project.`, EXIT.USAGE);
  const input = { team: { path: team }, name };
  const { createProject: payload } = await client().request(CreateProject, { input, idempotencyKey: randomUUID() });
  refuse(payload.userErrors);
  output.result(payload.project, () => `Made project ${path}. Next: purser models register ${path}/MODEL`);
}

async function listPrincipals({ client, output }: Cli): Promise<void> {
  const api = client();
  const rows = await allNodes(async (after) => (await api.request(Principals, { after })).principals);
  output.result(rows, () =>
    table(
      ['principal', 'kind', 'id', 'roles'],
      rows.map(({ name, kind, id, grants }) => [
        name,
        kind,
        id,
        grants.map(({ role, scope }) => `${role} on ${scope}`).join(', '),
      ]),
    ),
  );
}

const ROLES: readonly Role[] = ['VIEWER', 'INVOKER', 'OPERATOR', 'TEAM_ADMIN', 'PLATFORM_ADMIN'];

function grantOf({ role: text, on }: { role: string; on: string }): GrantInput {
  const role = ROLES.find((name) => name === text.trim().toUpperCase());
  if (!role) throw new CommandFailure(`--role "${text}" must be one of ${ROLES.join(', ').toLowerCase()}.`, EXIT.USAGE);
  if (on === 'platform') return { role };
  return on.includes('/') ? { role, project: { path: on } } : { role, team: { path: on } };
}

async function createPrincipal({ client, output }: Cli, name: string, options: { role: string; on: string }): Promise<void> {
  const [team = ''] = options.on.split('/');
  const input = { name, grants: [grantOf(options)], ...(options.on === 'platform' ? {} : { team: { path: team } }) };
  const { createPrincipal: payload } = await client().request(CreatePrincipal, { input, idempotencyKey: randomUUID() });
  refuse(payload.userErrors);
  output.result(
    payload.principal,
    () => `Made ${name}. Next: purser tokens create NAME --principal ${payload.principal?.id ?? 'ID'}`,
  );
}

async function listTokens({ client, output }: Cli): Promise<void> {
  const api = client();
  const rows = await allNodes(async (after) => (await api.request(Tokens, { after })).tokens);
  output.result(rows, () =>
    table(
      ['token', 'hint', 'created', 'expires', 'revoked', 'id'],
      rows.map(({ name, hint, createdAt, expiresAt, revokedAt, id }) => [
        name,
        hint,
        createdAt,
        expiresAt ?? 'never',
        revokedAt ?? '-',
        id,
      ]),
    ),
  );
}

async function createToken(
  { client, output }: Cli,
  name: string,
  { principal, expiresAt }: { principal: string; expiresAt?: string },
): Promise<void> {
  const input = { name, principal, ...(expiresAt === undefined ? {} : { expiresAt }) };
  const { createToken: payload } = await client().request(CreateToken, { input, idempotencyKey: randomUUID() });
  refuse(payload.userErrors);
  output.note('Keep this secret: it is not shown again.');
  output.result({ ...payload.token, secret: payload.secret }, () => payload.secret ?? '');
}

async function revokeToken({ client, output }: Cli, token: string): Promise<void> {
  const { revokeToken: payload } = await client().request(RevokeToken, { input: { token }, idempotencyKey: randomUUID() });
  refuse(payload.userErrors);
  output.result(payload.token, () => `Revoked ${payload.token?.name ?? token}.`);
}
