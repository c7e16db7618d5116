// GraphiQL itself, with the examples as its first tabs.
import { useMemo } from 'react';
import { GraphiQL } from 'graphiql';
import './monaco-workers.js';
import { examples } from './examples.js';
import { fetcher } from './fetcher.js';
import { storage } from './storage.js';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import './fonts.css';

// GraphiQL takes the first tab's variables from here, and later from its storage.
const firstVariables = storage.getItem('graphiql:tabState') ? undefined : examples[0].variables;

/** `who` is the signed-in username: another viewer may be shown another schema. */
export default function Editor({ who }) {
  // GraphiQL introspects again when the fetcher is a new function.
  const fetch = useMemo(() => (params, options) => fetcher(params, options), [who]);
  return (
    <GraphiQL
      fetcher={fetch}
      storage={storage}
      defaultTabs={examples}
      initialVariables={firstVariables}
      defaultQuery={'# Ctrl-Enter runs the operation, Ctrl-Space completes it.\n'}
      defaultEditorToolsVisibility="variables"
      inputValueDeprecation
      schemaDescription
    >
      <GraphiQL.Logo>
        <span />
      </GraphiQL.Logo>
    </GraphiQL>
  );
}
