import { type Preferences } from './preferences';

/** Apply the theme: `data-theme` selects one, and without it the system's theme applies (styles/tokens.css). */
export function applyTheme(theme: Preferences['theme']): void {
  const root = document.documentElement;
  if (theme === 'system') delete root.dataset.theme;
  else root.dataset.theme = theme;
}
