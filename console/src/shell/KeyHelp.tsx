import { Modal } from '../components/Modal';
import { text } from '../text';
import { IS_MAC, type KeyBinding, useKeyGroups } from './keys';
import { usePreferences } from './preferences';

/** The list of the keys that act on the page. */
export function KeyHelp({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const groups = useKeyGroups();
  const { singleKeys } = usePreferences();
  const titles = [...new Set(groups.map((group) => group.title))];
  return (
    <Modal title={text.keys.title} isOpen={isOpen} onClose={onClose}>
      {!singleKeys && <p className="muted">{text.keys.off}</p>}
      {titles.map((title) => (
        <section key={title} className="key-group">
          <h3 className="eyebrow">{title}</h3>
          <dl>
            {groups
              .filter((group) => group.title === title)
              .flatMap((group) => group.bindings)
              .map((binding) => (
                <div key={binding.keys}>
                  <dt>{binding.label}</dt>
                  <dd>
                    <Keys keys={binding.keys} />
                  </dd>
                </div>
              ))}
          </dl>
        </section>
      ))}
    </Modal>
  );
}

function Keys({ keys }: Pick<KeyBinding, 'keys'>) {
  const [first, second] = keys.split(' ');
  return (
    <>
      <kbd className="kbd">{keyName(first ?? '')}</kbd>
      {second !== undefined && (
        <>
          <span className="muted"> {text.keys.then} </span>
          <kbd className="kbd">{keyName(second)}</kbd>
        </>
      )}
    </>
  );
}

function keyName(key: string): string {
  if (key.startsWith('mod+')) return `${IS_MAC ? '⌘' : 'Ctrl '}${key.slice(4).toUpperCase()}`;
  if (key === ' ') return text.keys.space;
  return key === 'Escape' ? 'Esc' : key;
}
