import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { Cli } from '../cli-context.ts';
import { table } from '../output.ts';
import { refuse } from '../refusals.ts';

const Teams = graphql(`
  query Teams {
    teams(first: 100) {
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
        }
      }
    }
  }
`);

const CreateTeam = graphql(`
  mutation CreateTeam($input: CreateTeamInput!) {
    createTeam(input: $input) {
      team {
        name
      }
      userErrors {
        code
        message
        path
        hint
      }
    }
  }
`);

const CreateProject = graphql(`
  mutation CreateProject($input: CreateProjectInput!) {
    createProject(input: $input) {
      project {
        path
      }
      userErrors {
        code
        message
        path
        hint
      }
    }
  }
`);

export function addIdentityCommands(program: Command, cli: () => Cli): void {
  const teams = program.command('teams').description('list the teams, or make one');
  teams.command('list', { isDefault: true }).action(() => list(cli()));
  teams.command('create <team>').action((name: string) => createTeam(cli(), name));
  program
    .command('projects')
    .description('make a project (team/project)')
    .command('create <project>')
    .action((path: string) => createProject(cli(), path));
}

async function list({ client, output }: Cli): Promise<void> {
  const { teams } = await client().request(Teams, {});
  output.result(teams.nodes, () =>
    table(
      ['team', 'project', 'max replicas', 'max spend per hour'],
      teams.nodes.flatMap(({ name, projects }) => projects.nodes.map((project) => [name, project.path, String(project.maxReplicas), `$${project.maxSpendPerHour.amount}`])),
    ),
  );
}

async function createTeam({ client, output }: Cli, name: string): Promise<void> {
  const { createTeam: payload } = await client().request(CreateTeam, { input: { name } });
  refuse(payload.userErrors);
  output.result(payload.team, () => `Made team ${name}.`);
}

async function createProject({ client, output }: Cli, path: string): Promise<void> {
  const [team = '', name = ''] = path.split('/');
  const { createProject: payload } = await client().request(CreateProject, { input: { team: { path: team }, name } });
  refuse(payload.userErrors);
  output.result(payload.project, () => `Made project ${path}.`);
}
