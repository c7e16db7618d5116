// Leaves out what the playground never shows: Monaco's features for other kinds of editor, and
// prettier's JavaScript parser, which GraphiQL loads to format JSON variables.
import { fileURLToPath } from 'node:url';

const ours = (name) => fileURLToPath(new URL(name, import.meta.url));
const IN_PLACE_OF = {
  './editor.all.js': ours('../src/monaco-features.js'),
  'prettier/plugins/estree': ours('../src/json-printer.js'),
  'prettier/parser-babel': ours('../src/json-printer.js'),
};
const UNUSED = new Set([
  './standalone/browser/iPadShowKeyboard/iPadShowKeyboard.js',
  './standalone/browser/inspectTokens/inspectTokens.js',
  './standalone/browser/quickAccess/standaloneHelpQuickAccess.js',
  './standalone/browser/quickAccess/standaloneGotoLineQuickAccess.js',
  './standalone/browser/quickAccess/standaloneGotoSymbolQuickAccess.js',
  './standalone/browser/referenceSearch/standaloneReferenceSearch.js',
]);

/** The Vite plugin. */
export function slim() {
  return {
    name: 'slim',
    enforce: 'pre',
    apply: 'build',
    resolveId(source, importer) {
      const entry = importer?.replaceAll('\\', '/').endsWith('/vs/editor/edcore.main.js');
      if (entry && UNUSED.has(source)) return '\0unused';
      return source.startsWith('.') && !entry ? null : (IN_PLACE_OF[source] ?? null);
    },
    load: (id) => (id === '\0unused' ? 'export {};' : null),
  };
}
