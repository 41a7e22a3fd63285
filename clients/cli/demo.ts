import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { artifactFile } from '../typescript/artifact-file.ts';
import type { PurserClient } from '../typescript/purser-client.ts';
import { graphql } from '../typescript/generated/gql.ts';
import { refuse } from './refusals.ts';

/** Where the example lives: `team/project/name`, which is also the name of its model. */
export const DEMO = { team: 'example', project: 'demo', name: 'digits', path: 'example/demo/digits' } as const;

const Look = graphql(`
  query DemoLook($team: String!, $project: String!, $model: String!, $deployment: String!) {
    team(by: { path: $team }) {
      id
    }
    project(by: { path: $project }) {
      id
    }
    model(by: { path: $model }) {
      versions(first: 1) {
        nodes {
          number
        }
      }
    }
    deployment(by: { path: $deployment }) {
      status {
        phase
      }
    }
  }
`);

const MakeTeam = graphql(`
  mutation DemoTeam($name: String!) {
    createTeam(input: { name: $name }) {
      userErrors {
        code
        message
      }
    }
  }
`);

const MakeProject = graphql(`
  mutation DemoProject($team: String!, $name: String!) {
    createProject(input: { team: { path: $team }, name: $name }) {
      userErrors {
        code
        message
      }
    }
  }
`);

const MakeModel = graphql(`
  mutation DemoModel($project: String!, $name: String!) {
    registerModel(
      input: { project: { path: $project }, name: $name, description: "Handwritten digits: 8 × 8 pixels to ten probabilities" }
    ) {
      userErrors {
        code
        message
      }
    }
  }
`);

const MakeVersion = graphql(`
  mutation DemoVersion($model: String!, $digest: String!) {
    registerModelVersion(
      input: { model: { path: $model }, artifactDigest: $digest, resources: { cpuMilli: 250, memoryMib: 256 } }
    ) {
      userErrors {
        code
        message
      }
    }
  }
`);

const MakeDeployment = graphql(`
  mutation DemoDeployment($project: String!, $name: String!) {
    deploy(input: { project: { path: $project }, name: $name, model: $name, replicas: 1 }) {
      userErrors {
        code
        message
      }
    }
  }
`);

const Ready = graphql(`
  query DemoReady($path: String!, $range: TimeRange!) {
    deployment(by: { path: $path }) {
      status {
        phase
        conditions {
          status
          message
        }
      }
      costs(range: $range) {
        total {
          amount
        }
      }
    }
  }
`);

export interface DemoReport {
  readonly endpoint: string;
  readonly answers: readonly DemoAnswer[];
  /** USD so far, open minute included. */
  readonly costSoFar: string;
}

export interface DemoAnswer {
  readonly expected: number;
  readonly predicted: number;
  /** `Purser-Cost` of the answer in USD; null when the replica has no price. */
  readonly cost: string | null;
}

export interface DemoOptions {
  readonly folder: string;
  /** Where this machine reaches the router, whatever callers are told. */
  readonly routerUrl: string;
  readonly timeoutMs: number;
}

interface DemoCase {
  readonly input: readonly number[];
  readonly label: number;
}

/**
 * Brings `example/demo/digits` up unless it is there, waits until it is ready and sends it a few requests through the router at
 * `routerUrl`. Safe to repeat. `folder` holds `digits.onnx` and `cases.json`; throws after `timeoutMs`.
 */
export async function runDemo(client: PurserClient, options: DemoOptions): Promise<DemoReport> {
  await ensureDeployed(client, options.folder);
  await waitUntilReady(client, options.timeoutMs);
  const endpoint = `${options.routerUrl}/${DEMO.path}`;
  const cases = JSON.parse(readFileSync(join(options.folder, 'cases.json'), 'utf8')) as DemoCase[];
  const answers: DemoAnswer[] = [];
  for (const example of cases.slice(0, 5)) answers.push(await ask(client, endpoint, example));
  const { deployment } = await client.request(Ready, { path: DEMO.path, range: lastDay() });
  return { endpoint, answers, costSoFar: deployment?.costs.total.amount ?? '0' };
}

async function ensureDeployed(client: PurserClient, folder: string): Promise<void> {
  const project = `${DEMO.team}/${DEMO.project}`;
  const seen = await client.request(Look, { team: DEMO.team, project, model: DEMO.path, deployment: DEMO.path });
  if (!seen.team) refuse((await client.request(MakeTeam, { name: DEMO.team })).createTeam.userErrors);
  if (!seen.project)
    refuse((await client.request(MakeProject, { team: DEMO.team, name: DEMO.project })).createProject.userErrors);
  if (!seen.model) refuse((await client.request(MakeModel, { project, name: DEMO.name })).registerModel.userErrors);
  if (!seen.model?.versions.nodes[0]) await registerVersion(client, project, join(folder, 'digits.onnx'));
  if (!seen.deployment) refuse((await client.request(MakeDeployment, { project, name: DEMO.name })).deploy.userErrors);
}

async function registerVersion(client: PurserClient, project: string, file: string): Promise<void> {
  const artifact = await artifactFile(file);
  await client.uploadArtifact(project, artifact);
  refuse((await client.request(MakeVersion, { model: DEMO.path, digest: artifact.digest })).registerModelVersion.userErrors);
}

const POLL_MS = 150;
/** From a deployment that says it is ready to a router that has heard of it; after a restart its first table is the last one of before. */
const ANSWER_TIMEOUT_MS = 20_000;

async function waitUntilReady(client: PurserClient, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const { deployment } = await client.request(Ready, { path: DEMO.path, range: lastDay() });
    if (deployment?.status.phase === 'READY') return;
    if (Date.now() > deadline) {
      const why = deployment?.status.conditions
        .filter((condition) => condition.status !== 'True')
        .map((condition) => condition.message);
      throw new Error(`${DEMO.path} was not ready in time: ${why?.join(' ') ?? 'it is not there'}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** One request by the Open Inference Protocol. A router that has not heard of the newest replica yet is asked again for a while. */
async function ask(client: PurserClient, endpoint: string, example: DemoCase): Promise<DemoAnswer> {
  const request = { route: `v2/models/${DEMO.name}/infer`, body: JSON.stringify(inferBody(example.input)) };
  const deadline = Date.now() + ANSWER_TIMEOUT_MS;
  for (;;) {
    const { status, text, cost } = await client.infer(endpoint, request);
    if (status === 200) return { expected: example.label, predicted: labelOf(text), cost };
    if (![401, 404, 502, 503].includes(status) || Date.now() > deadline)
      throw new Error(`The router answered ${status}: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The body of an inference request for one picture of 64 pixels. */
export const inferBody = (pixels: readonly number[]) => ({
  inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 64], data: pixels }],
});

interface InferAnswer {
  readonly outputs: readonly { readonly name: string; readonly data: readonly number[] }[];
}

function labelOf(text: string): number {
  const { outputs } = JSON.parse(text) as InferAnswer;
  return outputs.find((output) => output.name === 'label')?.data[0] ?? -1;
}

const lastDay = () => ({ from: new Date(Date.now() - 86_400_000).toISOString(), to: new Date().toISOString() });
