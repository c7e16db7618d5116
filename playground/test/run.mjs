// `npm test`: browser.mjs against the mock server, with a password and with a code.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startMock } from './mock-server.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
mkdirSync(here('out'), { recursive: true });

const mock = await startMock();
const PASSWORD = 'correct horse battery';
const rounds = [
  { USERNAME: 'ada', SCREENSHOT: here('out/playground.png') },
  { USERNAME: 'grace', MFA_CODE: '123456' },
];
let failed = 0;
for (const round of rounds) {
  console.log(`# ${round.USERNAME}`);
  const env = { ...process.env, BASE_URL: mock.url, PASSWORD, ...round };
  const child = spawn(process.execPath, [here('browser.mjs')], { env, stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  failed += code === 0 ? 0 : 1;
}
await mock.close();
process.exitCode = failed ? 1 : 0;
