// Makes the editor live under `style-src 'self'`, without 'unsafe-inline'.
//
// Monaco writes its lines as HTML with style attributes and its theme as <style> elements, and two
// smaller libraries add <style> elements too. A policy without 'unsafe-inline' blocks both; styles
// set through the CSSOM it allows. This plugin points those call sites at src/csp-styles.js, which
// does the same work through the CSSOM. The policy keeps protecting everything else on the page.
//
// The build fails when a call site is no longer found: an upgrade has to be looked at.
import { fileURLToPath } from 'node:url';

const HELPERS = fileURLToPath(new URL('../src/csp-styles.js', import.meta.url));

const createsStyle = /document\.createElement\((['"])style\1\)/g;
const setsHtml = /([\w.]+)\.innerHTML = ([\w.]+)( \?\? [\w.]+)?;/g;
const insertsHtml = /([\w.]+)\.insertAdjacentHTML\('afterend', ([\w.]+)\);/g;

const style = (code) => code.replace(createsStyle, 'createStyle()');
const markup = (code) =>
  code.replace(setsHtml, 'setMarkup($1, $2$3);').replace(insertsHtml, 'insertMarkupAfter($1, $2);');

// The file's end, how it is rewritten, and how many call sites it has to have.
const SITES = [
  ['monaco-editor/esm/vs/base/browser/dom.js', style, 1],
  ['monaco-editor/esm/vs/base/browser/ui/contextview/contextview.js', style, 1],
  ['monaco-editor/esm/vs/editor/browser/view/viewLayer.js', markup, 3],
  ['monaco-editor/esm/vs/editor/browser/view/domLineBreaksComputer.js', markup, 1],
  ['monaco-editor/esm/vs/editor/standalone/browser/colorizer.js', markup, 1],
  ['react-style-singleton/dist/es2015/singleton.js', style, 1],
  ['framer-motion/dist/es/components/AnimatePresence/PopChild.mjs', style, 1],
];

/** The Vite plugin. */
export function cspStyles() {
  const seen = new Set();
  return {
    name: 'csp-styles',
    enforce: 'pre',
    apply: 'build',
    transform(code, id) {
      const path = id.split('?')[0].replaceAll('\\', '/');
      const site = SITES.find(([end]) => path.endsWith(`/node_modules/${end}`));
      if (!site) return null;
      const [end, rewrite, expected] = site;
      const out = rewrite(code);
      const found = out.match(/\b(createStyle|setMarkup|insertMarkupAfter)\(/g)?.length ?? 0;
      if (found !== expected) this.error(`${end}: ${found} call sites rewritten, ${expected} expected`);
      seen.add(end);
      const names = 'createStyle, setMarkup, insertMarkupAfter';
      return { code: `import { ${names} } from ${JSON.stringify(HELPERS)};\n${out}`, map: null };
    },
    buildEnd(error) {
      if (error) return;
      const missing = SITES.map(([end]) => end).filter((end) => !seen.has(end));
      if (missing.length) this.error(`not in the build any more: ${missing.join(', ')}`);
    },
  };
}
