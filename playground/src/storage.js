// Where GraphiQL keeps its tabs and history. Operations may hold passwords and personal data, so
// they live in this browser tab only; nothing but the theme outlasts it. The session's token is an
// HttpOnly cookie and the CSRF token stays in memory: neither is ever stored here.

const pick = (key) => (key.endsWith(':theme') ? localStorage : sessionStorage);

export const storage = {
  getItem: (key) => pick(key).getItem(key),
  setItem: (key, value) => pick(key).setItem(key, value),
  removeItem: (key) => pick(key).removeItem(key),
  clear: () => sessionStorage.clear(),
  get length() {
    return sessionStorage.length;
  },
};
