// Builds the playground into dist/: index.html and hashed files under /graphiql/assets/.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { cspStyles } from './build/csp-styles-plugin.js';
import { slim } from './build/slim-plugin.js';

export default defineConfig({
  base: '/graphiql/',
  plugins: [react(), cspStyles(), slim()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: 'licenses.md' },
    chunkSizeWarningLimit: 4000,
    rolldownOptions: {
      // Directives of the React compiler in dependencies: nothing to act on.
      onLog: (level, log, handle) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && handle(level, log),
    },
  },
});
