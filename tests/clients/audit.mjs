// The whole audit suite of GraphQL over HTTP; every audit has to pass, warnings included.
import { auditServer } from 'graphql-http';

const results = await auditServer({ url: `${process.env.BASE_URL}/graphql` });
for (const { status, id, name, reason } of results) {
  if (status !== 'ok') console.error(`${status}  ${id} ${name}: ${reason}`);
}
const passed = results.filter(({ status }) => status === 'ok').length;
console.log(`GraphQL over HTTP: ${passed} of ${results.length} audits pass`);
process.exit(passed === results.length && passed > 0 ? 0 : 1);
