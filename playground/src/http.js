// GraphQL over HTTP with the session cookie and its CSRF proof.
import { reportLimits } from './status.js';

// In memory only: script that reads storage, or a later visitor of this browser, never sees it.
let csrfToken = null;

/** Keeps the token a login answered; `null` forgets it. */
export function keepCsrfToken(token) {
  csrfToken = token ?? null;
}

/** Asks the server for the session's token, as after a reload. Resolves to whether there is one. */
export async function fetchCsrfToken() {
  const response = await fetch('/csrf', { headers: { accept: 'application/json' } });
  const body = response.ok ? await response.json().catch(() => null) : null;
  csrfToken = body?.csrfToken ?? null;
  return csrfToken !== null;
}

async function post(body, headers) {
  const response = await fetch('/graphql', {
    method: 'POST',
    credentials: 'same-origin',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
      ...(csrfToken && { 'x-csrf-token': csrfToken }),
      ...headers,
    },
    body: JSON.stringify(body),
  });
  const result = await response.json().catch(() => ({
    errors: [{ message: `The server answered ${response.status} without JSON` }],
  }));
  reportLimits(response.headers, result);
  return { result, response };
}

/** The error codes of a result, each once. */
export const errorCodes = (result) => [
  ...new Set((result?.errors ?? []).map((error) => error.extensions?.code ?? 'ERROR')),
];

/**
 * Sends one operation; a missing or outdated CSRF token is fetched and the operation sent again,
 * which is safe: it was refused before it ran. Resolves to `{ result, response }`; `response` is
 * absent when the server could not be reached.
 */
export async function send(body, headers) {
  try {
    const answer = await post(body, headers);
    if (!errorCodes(answer.result).includes('CSRF_FAILED') || !(await fetchCsrfToken())) return answer;
    return await post(body, headers);
  } catch {
    return { result: { errors: [{ message: 'The server could not be reached', extensions: { code: 'NETWORK' } }] } };
  }
}
