// A value React can watch.
import { useSyncExternalStore } from 'react';

/** Holds `value`; `set` merges a patch and wakes the watchers. */
export function createStore(value) {
  const watchers = new Set();
  return {
    get: () => value,
    set(patch) {
      value = { ...value, ...patch };
      for (const wake of watchers) wake();
    },
    watch(wake) {
      watchers.add(wake);
      return () => watchers.delete(wake);
    },
  };
}

/** The store's current value, re-rendered when it changes. */
export const useStore = (store) => useSyncExternalStore(store.watch, store.get);
