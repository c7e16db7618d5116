// The sign-in bar: password, then a code when the account asks for one; who am I; sign out.
import { useState } from 'react';
import { sendCode, session, signIn, signOut } from './session.js';
import { useStore } from './store.js';

/** Runs a step of the form, one at a time, and keeps what it answered wrong. */
function useStep() {
  const [busy, setBusy] = useState(false);
  const [errors, setErrors] = useState([]);
  async function run(step) {
    setBusy(true);
    setErrors([]);
    const answer = await step();
    setErrors(answer.errors);
    setBusy(false);
    return answer;
  }
  return { busy, errors, run };
}

function Errors({ errors }) {
  if (errors.length === 0) return null;
  return (
    <p className="pc-errors" role="alert">
      {errors.map((error, index) => (
        <span key={index}>
          {error.extensions?.code && <code>{error.extensions.code}</code>} {error.message}
        </span>
      ))}
    </p>
  );
}

function SignedOut() {
  const [mfaToken, setMfaToken] = useState(null);
  const { busy, errors, run } = useStep();

  async function submit(event) {
    event.preventDefault();
    const form = event.currentTarget;
    const { identifier, password, code } = form.elements;
    const answer = await run(() =>
      mfaToken ? sendCode(mfaToken, code.value.trim()) : signIn(identifier.value.trim(), password.value),
    );
    if (!mfaToken) setMfaToken(answer.mfaToken);
    else code.value = '';
  }

  return (
    <form className="pc-form" aria-label="Sign in" onSubmit={submit}>
      <Errors errors={errors} />
      {mfaToken ? (
        <>
          <label htmlFor="pc-code">Code</label>
          <input id="pc-code" key="code" name="code" autoComplete="one-time-code" spellCheck={false} required autoFocus />
          <button type="submit" className="pc-primary" disabled={busy}>
            Confirm
          </button>
          <button type="button" onClick={() => setMfaToken(null)}>
            Cancel
          </button>
        </>
      ) : (
        <>
          <label htmlFor="pc-identifier">Username or e-mail</label>
          <input id="pc-identifier" name="identifier" autoComplete="username" spellCheck={false} required />
          <label htmlFor="pc-password">Password</label>
          <input id="pc-password" name="password" type="password" autoComplete="current-password" required />
          <button type="submit" className="pc-primary" disabled={busy}>
            Sign in
          </button>
        </>
      )}
    </form>
  );
}

function SignedIn({ user }) {
  const { busy, errors, run } = useStep();
  return (
    <div className="pc-form">
      <Errors errors={errors} />
      <span className="pc-user">
        Signed in as <strong>{user.username}</strong> <span className="pc-badge">{user.role}</span>
      </span>
      <button type="button" disabled={busy} onClick={() => run(signOut)}>
        Sign out
      </button>
    </div>
  );
}

/** The bar above GraphiQL. */
export function SignInBar() {
  const { ready, user } = useStore(session);
  return (
    <header className="pc-bar">
      <h1>
        Portcullis <span>playground</span>
      </h1>
      <span className="pc-badge" title="Off in production unless enabled, then for administrators only">
        development
      </span>
      {ready && (user ? <SignedIn user={user} /> : <SignedOut />)}
    </header>
  );
}
