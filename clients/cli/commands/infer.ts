import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT, type ExitCode } from '../exit-codes.ts';
import { money, readInput } from '../output.ts';
import { found } from '../refusals.ts';

const Endpoint = graphql(`
  query Endpoint($path: String!) {
    deployment(by: { path: $path }) {
      name
      endpoint {
        url
      }
    }
  }
`);

interface InferOptions {
  readonly input: string;
  readonly route?: string;
}

export function addInferCommand(program: Command, cli: () => Cli): void {
  program
    .command('infer <deployment>')
    .description('send one request through the router; its cost goes to standard error')
    .requiredOption('--input <file>', 'request body as JSON ("-" for standard input)')
    .option('--route <route>', 'route below the endpoint (default: the Open Inference Protocol route of the model)')
    .action((path: string, options: InferOptions) => infer(cli(), path, options));
}

/** Exit codes of the router's refusals; every other one is a plain refusal. */
const CODES: Readonly<Record<number, ExitCode>> = { 401: EXIT.UNAUTHENTICATED, 404: EXIT.NOT_FOUND };

async function infer({ client, output }: Cli, path: string, options: InferOptions): Promise<void> {
  const body = readInput(options.input);
  const api = client();
  const { deployment } = await api.request(Endpoint, { path });
  const { name, endpoint } = found(deployment, 'deployment');
  const answer = await api.infer(endpoint.url, { route: options.route ?? `v2/models/${name}/infer`, body });
  if (answer.status >= 400) throw new CommandFailure(`${answer.status}: ${answer.text}`, CODES[answer.status] ?? EXIT.REFUSED);
  const { requestId, revision, cost, text } = answer;
  output.note(`request ${requestId ?? '-'}, revision ${revision ?? '-'}, cost ${cost === null ? 'unpriced' : money(cost)}`);
  output.result({ requestId, revision, cost, answer: parsed(text) }, () => text);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
