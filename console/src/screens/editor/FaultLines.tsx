import { Button } from '../../components/Button';
import { type DraftFault, withSuggestion } from '../../drafts/faults';
import { editorText as text } from '../../editor-text';
import { useEditor } from './context';

/** Faults below their field, with a button for each value that was probably meant. */
export function FaultLines({ faults }: { faults: readonly DraftFault[] }) {
  const { edit } = useEditor();
  return faults.map((fault) => (
    <div key={`${fault.path.join('.')} ${fault.code}`} className="under" role="alert">
      <span>{fault.message}</span>
      {fault.suggestions.map((suggestion) => (
        <Button
          key={suggestion}
          isSmall
          onPress={() => edit((document) => withSuggestion(document, fault, suggestion))}
        >
          {text.rule.use(suggestion)}
        </Button>
      ))}
    </div>
  ));
}
