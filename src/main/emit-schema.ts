import 'reflect-metadata';
import { writeFileSync } from 'node:fs';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { makeSchema } from '../api/schema.ts';

/** The schema as text, the same whatever order the resolvers are listed in. */
export const schemaText = (): string => `${printSchema(lexicographicSortSchema(makeSchema()))}\n`;

const target = process.argv[2];
if (target) writeFileSync(target, schemaText());
