import { text } from '../text';
import { say } from './toasts';

/** Copy text to the clipboard, and say so. */
export function copy(content: string): void {
  void navigator.clipboard.writeText(content).then(
    () => say(`${text.action.copied}: ${content.length > 60 ? `${content.slice(0, 60)}…` : content}`),
    () => say(text.action.copyFailed, 'bad'),
  );
}
