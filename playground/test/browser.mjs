// The playground in a real Chromium, against any server:
//
//   BASE_URL=… USERNAME=… PASSWORD=… [MFA_CODE=…] [SCREENSHOT=file.png] [CHROMIUM=…] node test/browser.mjs
//
// Signs in, reloads, runs a query, a mutation and a subscription, signs out. Exits 1 when a step
// fails, and on any console error, policy violation or request to another host.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const env = (name, fallback) => process.env[name] ?? fallback ?? assert.fail(`${name} is not set`);
const base = new URL(env('BASE_URL'));
const problems = [];
const done = (step) => console.log(`ok  ${step}`);

const browser = await chromium.launch({
  executablePath: env('CHROMIUM', '/usr/bin/chromium'),
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});

try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  watch(page);
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) =>
      console.error(`CSP ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`),
    );
  });

  await page.goto(new URL('/graphiql', base).href);
  await editorReady(page);
  done('opens');

  await page.getByLabel('Username or e-mail').fill(env('USERNAME'));
  await page.getByLabel('Password').fill(env('PASSWORD'));
  await page.getByRole('button', { name: 'Sign in' }).click();
  if (process.env.MFA_CODE) {
    await page.getByLabel('Code').fill(process.env.MFA_CODE);
    await page.getByRole('button', { name: 'Confirm' }).click();
  }
  await page.getByText('Signed in as').waitFor();
  const cookie = (await context.cookies()).find(({ name }) => name === '__Host-session');
  assert.ok(cookie?.httpOnly && cookie.secure, 'the session cookie is HttpOnly and Secure');
  done('signs in');

  await page.reload();
  await page.getByText('Signed in as').waitFor();
  await editorReady(page);
  done('stays signed in over a reload');

  const title = `From the playground ${Date.now()}`;
  await run(page, `mutation Create { createPost(input: { title: "${title}", body: "Hello." }) { post { id title } } }`);
  await response(page, title);
  done('runs a mutation');

  await run(page, 'query Latest { me { username } posts(first: 5) { edges { node { title } } } }');
  await response(page, title);
  await page.locator('.pc-status', { hasText: 'Latest' }).waitFor();
  done('runs a query');

  const subscribed = new Promise((resolve) =>
    page.on('websocket', (socket) =>
      socket.on('framesent', ({ payload }) => String(payload).includes('"subscribe"') && resolve()),
    ),
  );
  await run(page, 'subscription Watch { postPublished { id title author { username } } }');
  await subscribed;
  const published = `Published ${Date.now()}`;
  await publishUntilSeen(page, published);
  done('receives a subscription event');

  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
  await editorLooksRight(page);
  await page.getByRole('button', { name: /stop/i }).first().click();
  done('editor is laid out and coloured');

  await explore(page);
  done('opens every part of the editor');

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Username or e-mail').waitFor();
  done('signs out');
} catch (error) {
  problems.push(error.stack);
} finally {
  await browser.close();
}

if (problems.length) {
  console.error(problems.join('\n'));
  process.exit(1);
}

/** Notes whatever the page must not do. */
function watch(page) {
  const elsewhere = (url) => {
    const { protocol, host } = new URL(url);
    return !['data:', 'blob:', 'about:'].includes(protocol) && host !== base.host;
  };
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' || /web worker|content security policy/i.test(text)) problems.push(`console: ${text}`);
  });
  page.on('pageerror', (error) => problems.push(`page error: ${error.stack}`));
  page.on('requestfailed', (request) => {
    const { errorText } = request.failure() ?? {};
    // A reload aborts what is still loading.
    if (errorText !== 'net::ERR_ABORTED') problems.push(`failed: ${request.url()} ${errorText}`);
  });
  page.on('websocket', (socket) => elsewhere(socket.url()) && problems.push(`socket to another host: ${socket.url()}`));
  page.context().on('request', (request) => {
    if (elsewhere(request.url())) problems.push(`request to another host: ${request.url()}`);
  });
}

/** Waits for the editors and for the schema. */
async function editorReady(page) {
  await page.locator('.graphiql-query-editor .view-line').first().waitFor();
  await page.locator('.graphiql-query-editor .mtk1, .graphiql-query-editor [class*=mtk]').first().waitFor();
  await page.locator('.graphiql-spin').waitFor({ state: 'detached' });
}

/** Writes an operation into a new tab and runs it with the keyboard. */
async function run(page, operation) {
  await page.getByRole('button', { name: 'New tab' }).click();
  await page.locator('.graphiql-query-editor .view-lines').click();
  // Set as a whole: typing would meet the editor's own closing brackets.
  await page.evaluate((text) => {
    const editors = globalThis.__MONACO.editor.getEditors();
    editors.find((editor) => editor.getModel()?.uri.path.endsWith('operation.graphql')).setValue(text);
  }, operation);
  // GraphiQL reads the operation's name a moment later, and shows it as the tab's title.
  await page.getByRole('tab', { name: operation.split(' ')[1], selected: true }).waitFor();
  await page.keyboard.press('Control+Enter');
}

/** Waits until the response pane holds `text`. */
async function response(page, text) {
  await page.waitForFunction(
    (wanted) =>
      globalThis.__MONACO.editor
        .getModels()
        .some((model) => model.uri.path.endsWith('response.json') && model.getValue().includes(wanted)),
    text,
  );
}

/** Publishes posts from the page itself, until the subscription shows one. */
async function publishUntilSeen(page, title) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await page.evaluate(async (name) => {
      const { csrfToken } = await (await fetch('/csrf')).json();
      const reply = await fetch('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-csrf-token': csrfToken },
        body: JSON.stringify({
          query: 'mutation Publish($input: CreatePostInput!) { createPost(input: $input) { post { id } } }',
          variables: { input: { title: name, body: 'Hello.', visibility: 'PUBLIC' } },
        }),
      });
      return reply.json();
    }, title);
    assert.ok(answer.data?.createPost?.post, `createPost answered ${JSON.stringify(answer)}`);
    const seen = page.locator('.pc-status', { hasText: /Events [1-9]/ }).waitFor({ timeout: 3000 });
    if (await seen.then(() => true, () => attempt === 3)) break;
  }
  await response(page, title);
}

/** Opens what draws by other means: documentation, dialogs, completion, hover, find, commands, menus. */
async function explore(page) {
  const close = () => page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.locator('.graphiql-doc-explorer').getByText('Mutation', { exact: true }).click();
  await page.locator('.graphiql-doc-explorer').getByText('createPost', { exact: true }).click();
  await page.getByRole('button', { name: 'Show History' }).click();
  await page.locator('.graphiql-history').waitFor();
  for (const name of ['Open short keys dialog', 'Open settings dialog']) {
    await page.getByRole('button', { name }).click();
    await page.getByRole('dialog').waitFor();
    if (name.includes('settings')) await page.getByRole('dialog').getByRole('button', { name: 'Dark' }).click();
    await close();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  }

  await page.getByRole('tab', { name: 'Posts' }).click();
  await page.getByRole('button', { name: /prettify/i }).first().click();
  const editor = page.locator('.graphiql-query-editor');
  await editor.getByText('posts', { exact: true }).first().hover();
  await page.locator('.monaco-hover:visible').first().waitFor();
  await editor.getByText('title', { exact: true }).first().click();
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Control+Space');
  await page.locator('.suggest-widget.visible .monaco-list-row').first().waitFor();
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT.replace(/\.png$/, '-dark.png') });
  await close();
  await page.keyboard.press('Control+F');
  await page.locator('.find-widget.visible').first().waitFor();
  await close();
  await page.keyboard.press('F1');
  await page.locator('.quick-input-widget:visible').waitFor();
  await close();
  await editor.getByText('title', { exact: true }).first().click({ button: 'right' });
  await page.locator('.context-view .monaco-menu, .monaco-menu-container').first().waitFor();
  await close();
}

/** What a policy without 'unsafe-inline' would break first: line positions, colours, icon font. */
async function editorLooksRight(page) {
  const look = await page.evaluate(() => {
    const lines = [...document.querySelectorAll('.result-window .view-line')];
    const tokens = [...document.querySelectorAll('.result-window .view-line span[class^=mtk]')];
    return {
      tops: new Set(lines.map((line) => getComputedStyle(line).top)).size,
      lines: lines.length,
      colours: new Set(tokens.map((token) => getComputedStyle(token).color)).size,
      inline: document.querySelectorAll('style').length,
    };
  });
  assert.ok(look.lines > 3 && look.tops === look.lines, `lines have their own places: ${JSON.stringify(look)}`);
  assert.ok(look.colours >= 3, `tokens are coloured: ${JSON.stringify(look)}`);
  assert.equal(look.inline, 0, 'no <style> element');
}
