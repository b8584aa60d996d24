import { CircleAlert, TriangleAlert } from 'lucide-react';

import { Button } from '../../components/Button';
import { Note } from '../../components/Note';
import { Pill } from '../../components/Pill';
import { messageOf } from '../../components/states';
import { withSuggestion } from '../../drafts/faults';
import { writePath } from '../../drafts/json';
import { markNew } from '../../drafts/words';
import { editorText as text } from '../../editor-text';
import { text as consoleText } from '../../text';
import { useEditor } from './context';
import { focusField } from './focusing';
import type { DraftCheck } from './useCheck';

interface WordsProps {
  check: DraftCheck;
  /** The description of the saved revision; undefined: there is none. */
  saved: readonly string[] | undefined;
  hasTriggers: boolean;
}

/** The draft in words, with what the saved revision does not say marked; or its faults, each of which leads to its field. */
export function Words({ check, saved, hasTriggers }: WordsProps) {
  const { edit, showJson } = useEditor();
  const { last, isCurrent } = check;
  const faults = hasTriggers ? (last?.faults ?? []) : [];
  return (
    <section aria-label={text.words.title} aria-busy={!isCurrent}>
      <header className="row">
        <h2 className="grow">{text.words.title}</h2>
        {/* The region exists before its first message, so that it is announced. */}
        <span aria-live="polite">
          {faults.length > 0 ? (
            <Pill tone="bad" icon={CircleAlert}>
              {text.words.faults(faults.length)}
            </Pill>
          ) : (
            last !== null &&
            last.error === null &&
            last.faults.length === 0 &&
            isCurrent && (
              <Pill tone="good" icon={null}>
                {text.words.valid}
              </Pill>
            )
          )}
        </span>
      </header>
      {!hasTriggers ? (
        <p className="muted">{text.words.nothing}</p>
      ) : last === null ? (
        <p className="muted">{text.words.checking}</p>
      ) : last.error !== null ? (
        <p className="fault">{messageOf(last.error)}</p>
      ) : faults.length > 0 ? (
        <>
          <p className="muted">{text.words.corrected}</p>
          <ul className="faults">
            {faults.map((fault) => (
              <li key={`${writePath(fault.path)} ${fault.code}`}>
                <button
                  type="button"
                  onClick={() => {
                    // A part that has no field is edited as JSON.
                    if (!focusField(writePath(fault.path))) showJson();
                  }}
                >
                  <CircleAlert size={14} strokeWidth={1.8} aria-hidden />
                  <span>
                    <code>{writePath(fault.path)}</code>
                    <small>{fault.message}</small>
                  </span>
                </button>
                {fault.suggestions.map((suggestion) => (
                  <Button
                    key={suggestion}
                    isSmall
                    onPress={() => edit((document) => withSuggestion(document, fault, suggestion))}
                  >
                    {text.rule.use(suggestion)}
                  </Button>
                ))}
              </li>
            ))}
          </ul>
        </>
      ) : (
        <div className="words">
          {last.explanation.map((sentence, index) => (
            <p key={sentence}>
              {saved === undefined
                ? sentence
                : markNew(saved.join(' '), sentence).map((part, place) =>
                    part.isNew ? (
                      // Parts have no identity but their place in the sentence.
                      <mark key={`${index} ${place}`}>{part.text}</mark>
                    ) : (
                      part.text
                    ),
                  )}
            </p>
          ))}
        </div>
      )}
      {last?.warnings.map((warning) => (
        <Note key={warning} tone="warn" icon={TriangleAlert}>
          <b>{consoleText.flows.probablyNotIntended}</b> {warning}
        </Note>
      ))}
    </section>
  );
}
