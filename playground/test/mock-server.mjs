// A stand-in for the real server: enough of its schema, cookies, CSRF proof and headers to run
// browser.mjs, and dist/ under the policy the real server sends.
import { randomBytes } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSchema, graphql, GraphQLError } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; " +
  "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.ttf': 'font/ttf',
  '.woff2': 'font/woff2',
};

const schema = buildSchema(`
  enum Role { USER MODERATOR ADMIN }
  enum Transport { COOKIE TOKEN }
  enum LoginStatus { SIGNED_IN MFA_REQUIRED }
  enum Visibility { PUBLIC PRIVATE }
  type User { id: ID! username: String! role: Role! }
  "A post. **Bold** and \`code\` as the real schema's descriptions may have them."
  type Post { id: ID! title: String! body: String! visibility: Visibility! author: User! version: Int! }
  type PostEdge { node: Post! cursor: String! }
  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type PostConnection { edges: [PostEdge!]! pageInfo: PageInfo! }
  type LoginPayload { status: LoginStatus! user: User csrfToken: String mfaToken: String }
  type LogoutPayload { ok: Boolean! }
  type PostPayload { post: Post }
  input LoginInput { identifier: String! password: String! transport: Transport = COOKIE }
  input CompleteMfaLoginInput { mfaToken: String! code: String! }
  input CreatePostInput { title: String! body: String! visibility: Visibility = PUBLIC }
  type Query { me: User posts(first: Int, after: String): PostConnection! }
  type Mutation {
    login(input: LoginInput!): LoginPayload
    completeMfaLogin(input: CompleteMfaLoginInput!): LoginPayload
    logout: LogoutPayload
    createPost(input: CreatePostInput!): PostPayload
  }
  type Subscription { postPublished: Post! }
`);

const USERS = {
  ada: { id: 'usr_1', username: 'ada', role: 'ADMIN', password: 'correct horse battery' },
  grace: { id: 'usr_2', username: 'grace', role: 'USER', password: 'correct horse battery', code: '123456' },
};

const refuse = (code, message) => new GraphQLError(message, { extensions: { code } });

/** Starts on `port` (0: any) and resolves to `{ url, close }`. */
export async function startMock(port = 0) {
  const sessions = new Map();
  const pending = new Map();
  const posts = [];
  const listeners = new Set();
  let remaining = 1000;

  const sessionOf = (request) => sessions.get(/(?:^|; )__Host-session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1]);

  function start(user, context) {
    const token = randomBytes(32).toString('base64url');
    const csrfToken = randomBytes(16).toString('base64url');
    sessions.set(token, { user, csrfToken, token });
    context.cookie = `__Host-session=${token}; Path=/; Secure; HttpOnly; SameSite=Lax`;
    return { status: 'SIGNED_IN', user, csrfToken };
  }

  const root = {
    me: (_, context) => context.session?.user ?? null,
    posts: () => ({
      edges: posts.map((node) => ({ node, cursor: node.id })),
      pageInfo: { hasNextPage: false },
    }),
    login({ input }, context) {
      const user = USERS[input.identifier];
      if (user?.password !== input.password) throw refuse('UNAUTHENTICATED', 'Wrong identifier or password');
      if (!user.code) return start(user, context);
      const mfaToken = randomBytes(16).toString('base64url');
      pending.set(mfaToken, user);
      return { status: 'MFA_REQUIRED', mfaToken };
    },
    completeMfaLogin({ input }, context) {
      const user = pending.get(input.mfaToken);
      if (user?.code !== input.code) throw refuse('UNAUTHENTICATED', 'Wrong code');
      return start(user, context);
    },
    logout(_, context) {
      sessions.delete(context.session?.token);
      context.cookie = '__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0';
      return { ok: true };
    },
    createPost({ input }, context) {
      if (!context.session) throw refuse('UNAUTHENTICATED', 'Sign in first');
      const post = { id: `post_${posts.length + 1}`, ...input, author: context.session.user, version: 1 };
      posts.unshift(post);
      for (const tell of listeners) tell(post);
      return { post };
    },
  };

  async function* postPublished() {
    const queue = [];
    let wake = () => {};
    const tell = (post) => (queue.push(post), wake());
    listeners.add(tell);
    try {
      for (;;) {
        while (queue.length) yield { postPublished: queue.shift() };
        await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      listeners.delete(tell);
    }
  }

  function json(response, status, body, headers = {}) {
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
    response.end(JSON.stringify(body));
  }

  async function answer(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const session = sessionOf(request);
    if (session && request.headers['x-csrf-token'] !== session.csrfToken) {
      const error = { message: 'CSRF token missing or wrong', extensions: { code: 'CSRF_FAILED' } };
      return json(response, 403, { errors: [error] });
    }
    const { query, variables, operationName } = JSON.parse(Buffer.concat(chunks));
    const context = { session };
    const result = await graphql({
      schema,
      source: query,
      rootValue: root,
      contextValue: context,
      variableValues: variables,
      operationName,
    });
    remaining -= 12;
    const cost = { requested: 14, actual: 12, limit: 1000, remaining, resetAt: new Date(Date.now() + 3e4).toISOString() };
    json(response, result.data === undefined ? 400 : 200, { ...result, extensions: { cost } }, {
      'content-type': 'application/graphql-response+json',
      'ratelimit-policy': '"api";q=100;w=60',
      ratelimit: '"api";r=97;t=41',
      ...(context.cookie && { 'set-cookie': context.cookie }),
    });
  }

  function file(response, path, cache, type) {
    response.writeHead(200, {
      'content-type': type,
      'cache-control': cache,
      'content-security-policy': CSP,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
    createReadStream(path).pipe(response);
  }

  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const asset = /^\/graphiql\/assets\/([\w.-]+)$/.exec(pathname)?.[1];
    if (request.method === 'POST' && pathname === '/graphql') {
      answer(request, response).catch(() => json(response, 500, { errors: [{ message: 'Internal error' }] }));
    } else if (pathname === '/graphiql' || pathname === '/graphiql/') {
      file(response, join(DIST, 'index.html'), 'no-store', 'text/html; charset=utf-8');
    } else if (asset && existsSync(join(DIST, 'assets', asset))) {
      file(response, join(DIST, 'assets', asset), 'public, max-age=31536000, immutable', TYPES[extname(asset)]);
    } else if (pathname === '/csrf') {
      const session = sessionOf(request);
      if (session) json(response, 200, { csrfToken: session.csrfToken });
      else json(response, 401, { errors: [{ message: 'Sign in first', extensions: { code: 'UNAUTHENTICATED' } }] });
    } else {
      json(response, 404, { errors: [{ message: 'Not found', extensions: { code: 'NOT_FOUND' } }] });
    }
  });

  const sockets = new WebSocketServer({ server, path: '/graphql' });
  const socketServer = useServer(
    {
      schema,
      roots: { subscription: { postPublished } },
      // The cookie has to come along with the handshake.
      context: ({ extra }) => ({ session: sessionOf(extra.request) }),
    },
    sockets,
  );

  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async close() {
      await socketServer.dispose();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startMock(Number(process.env.PORT ?? 8080));
  console.log(`${url}/graphiql (ada or grace, "correct horse battery", code 123456)`);
}
