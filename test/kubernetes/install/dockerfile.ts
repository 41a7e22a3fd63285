// What deploy/images/Dockerfile says about how the image is run, so that the tests run it the same way.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '../cluster/cache.ts';

export interface Dockerfile {
  readonly entrypoint: readonly string[];
  readonly user: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly ports: readonly number[];
}

export function dockerfile(): Dockerfile {
  const text = readFileSync(join(repository, 'deploy', 'images', 'Dockerfile'), 'utf8');
  const last = text.slice(text.lastIndexOf('\nFROM '));
  const of = (instruction: string): string => {
    const [, value] = new RegExp(`^${instruction} (.+)$`, 'm').exec(last) ?? [];
    if (value === undefined) throw new Error(`the Dockerfile has no ${instruction}`);
    return value;
  };
  const environment = of('ENV')
    .split(' ')
    .map((pair) => pair.split('=') as [string, string]);
  return {
    entrypoint: JSON.parse(of('ENTRYPOINT')) as string[],
    user: of('USER'),
    environment: Object.fromEntries(environment),
    workingDirectory: of('WORKDIR'),
    ports: of('EXPOSE').split(' ').map(Number),
  };
}
