// Reads docs/api.md and compares its codes, limits and statuses with the source.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSchema, parse, validate } from 'graphql';
import { describe, expect, test } from 'vitest';
import { MAX_SOCKETS_PER_TOKEN, MAX_STREAMS_PER_TOKEN } from '../../src/api/slots.ts';
import * as answers from '../../src/dataplane/answers.ts';
import { DEFAULT_PAGE, MAX_PAGE } from '../../src/graphql/connection.type.ts';
import { MAXIMUM_COST, RESTORE_PER_SECOND } from '../../src/graphql/cost.ts';
import { MAX_ALIASES, MAX_DEPTH, MAX_FIELDS, MAX_REPEATS, MAX_TOKENS } from '../../src/graphql/limits.ts';
import { FAILURE_CODES } from '../../src/kernel/failure.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const page = read('docs/api.md');
const section = (name: string) => page.split(`\n## ${name}\n`)[1]?.split('\n## ')[0] ?? '';
const words = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? '');
const sorted = (codes: Iterable<string>) => [...new Set(codes)].sort();

describe('docs/api.md', () => {
  const [ofUsers = '', ofRequests = ''] = section('Errors').split('In `errors[]');

  test('explains every code of a refused mutation, and no other', () => {
    expect(sorted(words(ofUsers, /^\| `([A-Z_]+)` \|/gm))).toEqual(sorted(FAILURE_CODES));
  });

  test('explains every code of a refused request, and no other', () => {
    const problem = read('src/api/problem.ts');
    const open = words(problem.split('const PUBLIC')[1]?.split(']);')[0] ?? '', /'([A-Z_]+)'/g);
    const masked = words(problem, /code: '([A-Z_]+)'/g);
    expect(open.length).toBeGreaterThan(5);
    expect(masked.length).toBeGreaterThan(1);
    expect(sorted(words(ofRequests, /^\| `([A-Z_]+)` \|/gm))).toEqual(sorted([...open, ...masked]));
  });

  test('every example is a query that the schema answers', () => {
    const schema = buildSchema(read('schema/schema.graphql'));
    const blocks = page.split('\n\n').filter((text) => /^ {4}\{\s/.test(text));
    expect(blocks.length).toBeGreaterThanOrEqual(7);
    for (const text of blocks) expect({ text, errors: validate(schema, parse(text)) }).toEqual({ text, errors: [] });
  });

  test('has the limits of the program', () => {
    const rows = [...section('Limits').matchAll(/^\| (.+) \| ([\d,]+)/gm)];
    const limits: Record<string, string> = Object.fromEntries(rows.map(([, name = '', value = '']) => [name, value] as const));
    const told = (value: number) => value.toLocaleString('en-US');
    expect(limits).toMatchObject({
      'tokens of a document': told(MAX_TOKENS),
      'nesting of fields': told(MAX_DEPTH),
      aliases: told(MAX_ALIASES),
      'the same field in one place': told(MAX_REPEATS),
      'fields after fragments are spread': told(MAX_FIELDS),
      'sockets at once with one token': told(MAX_SOCKETS_PER_TOKEN),
      'subscriptions at once with one token, over both transports': told(MAX_STREAMS_PER_TOKEN),
    });
    expect(section('Limits')).toContain(`${told(MAXIMUM_COST)}, ${told(RESTORE_PER_SECOND)} come back per second`);
    expect(section('Lists')).toContain(`default ${DEFAULT_PAGE}, 1 to ${MAX_PAGE}`);
  });

  test('has every status of the router, and no other', () => {
    const refusals = Object.values(answers).flatMap((value) => (typeof value === 'object' && 'status' in value ? [value] : []));
    const made = [answers.malformed(''), answers.queueFull(null), answers.stillWaking(1), answers.asleep('')];
    const statuses = sorted([...refusals, ...made].map(({ status }) => String(status)));
    expect(sorted(words(section('Inference'), /^\| (\d{3}) \|/gm))).toEqual(statuses);
  });
});
