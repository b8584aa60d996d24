import { Download, Upload } from 'lucide-react';
import { useRef, useState } from 'react';

import { Button } from '../../components/Button';
import { download } from '../../components/downloads';
import { say } from '../../components/toasts';
import { withContent } from '../../drafts/documents';
import { isObject, type JsonObject, parse, write, writePath } from '../../drafts/json';
import { editorText as text } from '../../editor-text';
import { text as consoleText } from '../../text';
import { useEditor } from './context';

/** The API refuses a larger document. */
const LARGEST_FILE_BYTES = 350_000;

/** The draft as JSON. What is typed becomes the draft as soon as it is a JSON object. */
export function JsonTab({ flowId }: { flowId: string | null }) {
  const { document, edit, faults } = useEditor();
  const [typed, setTyped] = useState<{ text: string; of: JsonObject } | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const file = useRef<HTMLInputElement>(null);
  // A change elsewhere, for example undo, replaces what was typed.
  const isTyped = typed !== null && (typed.of === document || problem !== null);
  const shown = isTyped ? typed.text : write(document, true);

  function type(content: string): void {
    const read = readDocument(content);
    if (typeof read === 'string') {
      setProblem(read);
      setTyped({ text: content, of: document });
      return;
    }
    setProblem(null);
    setTyped({ text: content, of: read });
    edit(() => read, 'json');
  }

  async function importFile(chosen: File): Promise<void> {
    if (chosen.size > LARGEST_FILE_BYTES) {
      say(consoleText.state.tooLarge, 'bad');
      return;
    }
    const read = readDocument(await chosen.text());
    if (typeof read === 'string') {
      say(`${chosen.name}: ${read}`, 'bad');
      return;
    }
    setTyped(null);
    setProblem(null);
    edit((draft) => withContent(draft, read));
    say(text.json.imported(chosen.name));
  }

  return (
    <div className="page json-tab">
      <div className="row">
        <p className="muted grow">{text.json.explanation}</p>
        <input
          ref={file}
          type="file"
          accept="application/json,.json"
          hidden
          onChange={(event) => {
            const [chosen] = event.currentTarget.files ?? [];
            if (chosen !== undefined) void importFile(chosen);
            event.currentTarget.value = '';
          }}
        />
        <Button icon={Upload} onPress={() => file.current?.click()}>
          {text.json.import}
        </Button>
        <Button icon={Download} onPress={() => download(`flow-${flowId ?? 'new'}.json`, `${write(document, true)}\n`)}>
          {text.json.export}
        </Button>
      </div>
      {problem !== null && (
        <p className="fault" role="alert">
          {problem}
        </p>
      )}
      <textarea
        className="json-text"
        aria-label={text.json.label}
        aria-invalid={problem !== null}
        spellCheck={false}
        value={shown}
        onChange={(event) => type(event.currentTarget.value)}
      />
      {faults.length > 0 && (
        <ul className="bullets" aria-label={text.json.faults}>
          {faults.map((fault) => (
            <li key={`${writePath(fault.path)} ${fault.code}`} className="fault">
              <code>{writePath(fault.path)}</code> {fault.message}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** The document, or what is wrong with the text. */
function readDocument(content: string): JsonObject | string {
  try {
    const value = parse(content);
    return isObject(value) ? value : text.json.notAnObject;
  } catch (error) {
    return text.json.notJson(error instanceof Error ? error.message : String(error));
  }
}
