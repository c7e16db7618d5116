// The reference client of graphql-transport-ws: signs up and in over it, subscribes, and is told.
import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const base = process.env.BASE_URL;
const connect = (connectionParams) =>
  createClient({ url: `${base.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket, connectionParams, retryAttempts: 0, lazy: false, onNonLazyError: () => {} });
const run = async (client, query, variables) => {
  const { value } = await client.iterate({ query, variables }).next();
  assert.equal(value.errors, undefined, JSON.stringify(value));
  return value.data;
};

const name = `ws${Date.now()}`;
const password = 'quiet lantern under seven maps';
const stranger = connect();
const register = 'mutation($i: RegisterInput!) { register(input: $i) { accepted } }';
await run(stranger, register, { i: { username: name, email: `${name}@example.org`, password } });
const login = 'mutation($i: LoginInput!) { login(input: $i) { token } }';
const { token } = (await run(stranger, login, { i: { identifier: name, password, transport: 'TOKEN' } })).login;
await stranger.dispose();

const ada = connect({ authorization: `Bearer ${token}` });
assert.equal((await run(ada, '{ me { username } }')).me.username, name);
const posts = ada.iterate({ query: 'subscription { postPublished { title author { username } } }' });
const first = posts.next();
await run(ada, '{ me { id } }'); // answered after the subscription has begun
await run(ada, 'mutation { createPost(input: { title: "Over a socket", body: "b" }) { post { id } } }');
const { value } = await first;
assert.deepEqual(value.data.postPublished, { title: 'Over a socket', author: { username: name } });
await posts.return();

const closed = new Promise((resolve) => ada.on('closed', resolve));
const held = ada.iterate({ query: 'subscription { postPublished { id } }' }).next().catch(() => {});
await run(ada, 'mutation { logout { done } }');
assert.equal((await closed).code, 4403);
await held;
await ada.dispose();
console.log('graphql-ws: queries, mutations and subscriptions work; the socket ends with its session');
