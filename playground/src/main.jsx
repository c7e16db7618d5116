// The playground: a sign-in bar, a status line, and GraphiQL.
import { lazy, StrictMode, Suspense, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { refresh, session } from './session.js';
import { SignInBar } from './sign-in.jsx';
import { StatusLine } from './status-line.jsx';
import { useStore } from './store.js';
import './style.css';

const Editor = lazy(() => import('./editor.jsx'));

function App() {
  const { ready, user } = useStore(session);
  useEffect(() => {
    refresh();
  }, []);
  return (
    <>
      <SignInBar />
      <StatusLine />
      <main className="pc-editor">
        <Suspense fallback={<p className="pc-loading">Loading the editor…</p>}>
          {ready && <Editor who={user?.username ?? ''} />}
        </Suspense>
      </main>
    </>
  );
}

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
