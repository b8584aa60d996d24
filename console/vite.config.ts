import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// With `npm run dev`, requests to the API go to a local run that is up already.
const API = process.env.ENROLL_API ?? 'http://127.0.0.1:4568';
const API_PATHS = ['/automation', '/crm', '/enrollment', '/events', '/openapi.json'];

/** react-aria has its words in 34 languages. The console has one. */
const onlyEnglish: Plugin = {
  name: 'only-english',
  enforce: 'pre',
  load: (file) => (/\/intl\/\w+\/(?!en-US)[a-z]{2}-[A-Z]{2}\.mjs$/.test(file) ? 'export default {};' : undefined),
};

export default defineConfig({
  base: '/console/',
  plugins: [onlyEnglish, react()],
  build: {
    outDir: process.env.ENROLL_CONSOLE_OUT ?? '../build/console/site',
    emptyOutDir: true,
    // The Content-Security-Policy allows no data: URL in a style sheet or a script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: {
    // The API refuses requests whose Origin differs from the Host header, so the proxy sends its own.
    proxy: Object.fromEntries(
      API_PATHS.map((path) => [path, { target: API, changeOrigin: true, headers: { origin: API } }]),
    ),
  },
  test: {
    environment: 'jsdom',
    isolate: false,
    include: ['tests/**/*.test.{ts,tsx}'],
  },
});
