import { newId } from '../../src/kernel/id.ts';
import type { Scope } from '../../src/kernel/transaction.ts';
import type { Database } from '../../src/persistence/database.ts';
import { ModelRepository } from '../../src/registry/model.repository.ts';
import { makeGround, versionOf } from './deployments-world.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'test' };
export const DEPLOYMENTS = 50;
export const VERSIONS = 3;

/** Fifty deployments, each of a model of its own with three versions: five levels with their query. */
export const NESTED_QUERY = `{ deployments(first: ${DEPLOYMENTS}) { nodes { id name revision { number
  modelVersion { id number model { id name versions(first: ${VERSIONS}) { nodes { id number } } } } } } } }`;

const DEPLOY = `mutation ($name: String!) { deploy(input: { project: { path: "nested/demo" }, name: $name, model: $name, modelVersion: ${VERSIONS},
  maxReplicas: 1 }) { userErrors { message path } } }`;

/** Makes the rows of `NESTED_QUERY`; deployments go through the API. */
export async function makeNestedDeployments(
  database: Database,
  gql: (query: string, variables: object) => Promise<{ readonly deploy: { readonly userErrors: readonly unknown[] } }>,
): Promise<void> {
  const { teamId, projectId, teamName, clock, random } = await makeGround(database, 'nested', 0);
  const names = Array.from({ length: DEPLOYMENTS }, (_, n) => `model-${n}`);
  const models = new ModelRepository();
  await database.write(SCOPE, async (tx) => {
    for (const name of names) {
      const owner = { teamId, projectId, createdAt: clock.now(), createdBy: teamId };
      const modelId = newId(clock.now(), random);
      await models.insertModel(tx, { id: modelId, ...owner, teamName, projectName: 'demo', name, description: '', version: 1 });
      for (let number = 1; number <= VERSIONS; number += 1)
        await models.insertVersion(tx, versionOf({ ...owner, id: newId(clock.now(), random), modelId, number }));
    }
  });
  for (const name of names) {
    const { deploy } = await gql(DEPLOY, { name });
    if (deploy.userErrors.length > 0) throw new Error(JSON.stringify(deploy.userErrors));
  }
}
