import 'reflect-metadata';
import { writeFileSync } from 'node:fs';
import { schemaText } from '../api/schema.ts';

/** `npm run schema`: writes the schema as it is in code. */
const [path = 'schema/schema.graphql'] = process.argv.slice(2);
writeFileSync(path, schemaText());
