import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { PurserUnavailable } from '../../typescript/errors.ts';
import { graphql } from '../../typescript/generated/gql.ts';
import type { Cli } from '../cli-context.ts';
import { resolveContext } from '../contexts.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { money } from '../output.ts';
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
    .description('send one request through the router')
    .requiredOption('--input <file>', 'request body as JSON ("-" for standard input)')
    .option('--route <route>', 'route below the endpoint (default: the Open Inference Protocol route of the model)')
    .action((path: string, options: InferOptions) => infer(cli(), path, options));
}

async function infer(cli: Cli, path: string, options: InferOptions): Promise<void> {
  const answer = await cli.client().request(Endpoint, { path });
  const { name, endpoint } = found(answer.deployment, 'deployment');
  const body = readFileSync(options.input === '-' ? 0 : options.input, 'utf8');
  const route = options.route ?? `v2/models/${name}/infer`;
  const response = await send(`${endpoint.url.replace(/\/$/, '')}/${route.replace(/^\//, '')}`, resolveContext(cli.env, undefined).token, body);
  const text = await response.text();
  if (!response.ok) throw new CommandFailure(`${response.status}: ${text}`, EXIT.REFUSED);
  const cost = response.headers.get('purser-cost');
  cli.output.note(
    `request ${response.headers.get('purser-request-id') ?? '-'}, revision ${response.headers.get('purser-revision') ?? '-'}, ` +
      `cost ${cost ? money(cost) : 'unpriced'}`,
  );
  cli.output.result(parse(text), () => text);
}

async function send(url: string, token: string, body: string): Promise<Response> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  try {
    return await fetch(url, { method: 'POST', headers, body });
  } catch (error) {
    throw new PurserUnavailable(`No answer from the router at ${url}.`, { cause: error });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
