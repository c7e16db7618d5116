// Who is signed in, and the operations that change it.
import { createStore } from './store.js';
import { fetchCsrfToken, keepCsrfToken, send } from './http.js';

export const session = createStore({ ready: false, user: null });

const ME = 'query WhoAmI { me { username role } }';
const PAYLOAD = '{ status csrfToken mfaToken user { username role } }';
const LOGIN = `mutation SignIn($input: LoginInput!) { login(input: $input) ${PAYLOAD} }`;
const MFA = `mutation SignInCode($input: CompleteMfaLoginInput!) { completeMfaLogin(input: $input) ${PAYLOAD} }`;
const LOGOUT = 'mutation SignOut { logout { __typename } }';

// A reload forgets the CSRF token but not the cookie. This mark, which is no secret, says whether
// asking for a fresh token is worth a request: a visitor who never signed in sends none.
const MARK = 'portcullis:signed-in';

function become(user) {
  if (user) localStorage.setItem(MARK, '1');
  else {
    localStorage.removeItem(MARK);
    keepCsrfToken(null);
  }
  session.set({ ready: true, user });
}

/** Finds out who is signed in: at start, and after an operation changed the session. */
export async function refresh() {
  if (localStorage.getItem(MARK)) await fetchCsrfToken().catch(() => false);
  const { result } = await send({ query: ME, operationName: 'WhoAmI' });
  become(result.data?.me ?? null);
}

async function signInStep(query, operationName, input, field) {
  const { result } = await send({ query, operationName, variables: { input } });
  const payload = result.data?.[field];
  if (payload?.status === 'SIGNED_IN') {
    keepCsrfToken(payload.csrfToken);
    become(payload.user);
  }
  return { mfaToken: payload?.status === 'MFA_REQUIRED' ? payload.mfaToken : null, errors: result.errors ?? [] };
}

/** Resolves to `{ mfaToken, errors }`; a token means the code has to follow. */
export const signIn = (identifier, password) =>
  signInStep(LOGIN, 'SignIn', { identifier, password, transport: 'COOKIE' }, 'login');

/** The second step: a code from the authenticator, or a backup code. */
export const sendCode = (mfaToken, code) => signInStep(MFA, 'SignInCode', { mfaToken, code }, 'completeMfaLogin');

/** Ends the session on the server. Resolves to `{ errors }`. */
export async function signOut() {
  const { result } = await send({ query: LOGOUT, operationName: 'SignOut' });
  if (result.data?.logout) become(null);
  else await refresh();
  return { errors: result.errors ?? [] };
}
