// What the last answers said about cost and limits, for the line under the bar.
import { createStore } from './store.js';

export const status = createStore({ operation: null, cost: null, limits: null });

/** `"api";r=98;t=30` (IETF draft), `limit=100, remaining=98` (older drafts) or X-RateLimit-*. */
export function readRateLimit(headers) {
  const field = headers.get('ratelimit') ?? '';
  const policy = headers.get('ratelimit-policy') ?? '';
  const number = (text, ...names) => {
    for (const name of names) {
      const match = text.match(new RegExp(`(?:^|[;,\\s])${name}=(\\d+)`, 'i'));
      if (match) return Number(match[1]);
    }
    return null;
  };
  const plain = (name) => (headers.has(name) ? Number(headers.get(name)) : null);
  const remaining = number(field, 'r', 'remaining') ?? plain('x-ratelimit-remaining');
  if (remaining === null) return null;
  return { remaining, limit: number(policy, 'q') ?? number(field, 'limit') ?? plain('x-ratelimit-limit') };
}

/** Notes the limits any answer carries. */
export function reportLimits(headers, result) {
  const limits = readRateLimit(headers);
  const cost = result?.extensions?.cost;
  status.set({ ...(limits && { limits }), ...(cost !== undefined && { cost }) });
}
