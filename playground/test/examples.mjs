// The example operations against the project's schema: SCHEMA, or ../schema.graphql when it is there.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSchema, parse, validate } from 'graphql';
import { examples } from '../src/examples.js';

const path = process.env.SCHEMA ?? fileURLToPath(new URL('../../schema.graphql', import.meta.url));
const problems = [];
let schema = null;
if (existsSync(path)) schema = buildSchema(readFileSync(path, 'utf8'));
else console.log('no schema.graphql: examples are only parsed');

for (const { query, variables } of examples) {
  const document = parse(query);
  const name = document.definitions[0].name.value;
  if (schema) problems.push(...validate(schema, document).map((error) => `${name}: ${error.message}`));
  const declared = document.definitions.flatMap((each) => each.variableDefinitions.map((one) => one.variable.name.value));
  for (const variable of Object.keys(variables ? JSON.parse(variables) : {})) {
    if (!declared.includes(variable)) problems.push(`${name}: no operation takes $${variable}`);
  }
}

for (const problem of problems) console.error(problem);
console.log(`${examples.length} tabs of examples, ${problems.length} problems`);
process.exitCode = problems.length ? 1 : 0;
