// A prettier plugin that formats JSON with comments, in place of prettier's JavaScript parser.
import { applyEdits, format } from 'jsonc-parser';

const OPTIONS = { insertSpaces: true, tabSize: 2 };

export const parsers = {
  jsonc: { parse: (text) => ({ text }), astFormat: 'jsonc-text', locStart: () => 0, locEnd: ({ text }) => text.length },
};

export const printers = {
  'jsonc-text': { print: ({ node }) => applyEdits(node.text, format(node.text, undefined, OPTIONS)) },
};
