// How GraphiQL runs an operation: POST, or graphql-transport-ws for subscriptions.
import { Kind } from 'graphql';
import { createClient } from 'graphql-ws';
import { errorCodes, keepCsrfToken, send } from './http.js';
import { refresh } from './session.js';
import { status } from './status.js';

const CHANGES_SESSION = new Set([
  'login',
  'completeMfaLogin',
  'refreshSession',
  'logout',
  'reauthenticate',
  'changePassword',
  'confirmMfa',
  'disableMfa',
  'deleteMyAccount',
]);

function operationOf(document, name) {
  const operations = document?.definitions.filter((each) => each.kind === Kind.OPERATION_DEFINITION) ?? [];
  return operations.find((each) => each.name?.value === name) ?? operations[0];
}

const rootFields = (operation) =>
  operation?.selectionSet.selections.filter((each) => each.kind === Kind.FIELD) ?? [];

const socketUrl = () => `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/graphql`;

function asErrors(error) {
  if (Array.isArray(error)) return error;
  if (error?.code) return [{ message: error.reason || 'The socket was closed', extensions: { code: String(error.code) } }];
  return [{ message: error?.message ?? 'The socket could not be opened', extensions: { code: 'NETWORK' } }];
}

async function* subscribe(params, headers) {
  // One socket per subscription, so each starts with the session of its moment.
  const client = createClient({ url: socketUrl(), connectionParams: headers, retryAttempts: 0 });
  const name = params.operationName ?? 'subscription';
  let events = 0;
  status.set({ operation: { name, events } });
  try {
    for await (const result of client.iterate(params)) {
      events += 1;
      const cost = result.extensions?.cost;
      status.set({ operation: { name, events, codes: errorCodes(result) }, ...(cost && { cost }) });
      yield result;
    }
  } catch (error) {
    const result = { errors: asErrors(error) };
    status.set({ operation: { name, events, codes: errorCodes(result) } });
    yield result;
  } finally {
    client.dispose();
  }
}

async function request(params, headers, operation) {
  const started = performance.now();
  const { result, response } = await send(params, headers);
  if (operation) {
    status.set({
      operation: {
        name: params.operationName ?? operation.operation,
        http: response?.status,
        ms: Math.round(performance.now() - started),
        codes: errorCodes(result),
      },
    });
    const fields = rootFields(operation);
    if (fields.some((field) => CHANGES_SESSION.has(field.name.value))) {
      for (const value of Object.values(result.data ?? {})) {
        if (value?.csrfToken) keepCsrfToken(value.csrfToken);
      }
      refresh();
    }
  }
  return result;
}

/** GraphiQL's fetcher. */
export function fetcher(params, { headers, documentAST } = {}) {
  const operation = operationOf(documentAST, params.operationName);
  return operation?.operation === 'subscription'
    ? subscribe(params, headers)
    : request(params, headers, operation);
}
