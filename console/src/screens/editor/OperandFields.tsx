import { Braces } from 'lucide-react';

import { Button } from '../../components/Button';
import { at, type JsonObject, type Path, textAt } from '../../drafts/json';
import { dayOf, type Editor, readNumber, textsOf, withDay, withOperand, withTexts } from '../../drafts/operations';
import { editorText as text } from '../../editor-text';
import { useEditor } from './context';
import { type Choice, SelectInput, TextInput, TokensInput } from './fields';

interface OperandFieldsProps {
  /** The path of the operation. */
  path: Path;
  operation: JsonObject;
  /** Null: the operation is edited as JSON only. */
  editor: Editor | null;
  options: readonly Choice[];
  isBad: boolean;
  onChange: (operation: JsonObject) => void;
}

const UNITS = Object.entries(text.rule.unitName).map(([value, label]) => ({ value, label }));

/** The operands of an operation, in the fields that its type has. */
export function OperandFields({ path, operation, editor, options, isBad, onChange }: OperandFieldsProps) {
  const { showJson } = useEditor();
  const field = (key: string) => ({ path: [...path, key], isBad });
  const valueOf = (key: string): string => {
    const value = at(operation, [key]);
    return typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value);
  };
  const set = (key: string) => (value: string) => onChange(withOperand(operation, key, value));
  const setNumber = (key: string) => (value: string) => onChange(withOperand(operation, key, readNumber(value)));
  switch (editor) {
    case 'none':
      return <span className="wide-gap" />;
    case 'texts':
    case 'options':
      return (
        <TokensInput
          label={editor === 'texts' ? text.rule.value : text.rule.values}
          {...field('value')}
          isText={editor === 'texts'}
          values={textsOf(operation)}
          placeholder={text.rule.valuesHint}
          suggestions={options}
          onChange={(values) => onChange(withTexts(operation, values))}
        />
      );
    case 'number':
      return (
        <TextInput label={text.rule.value} {...field('value')} value={valueOf('value')} onChange={setNumber('value')} />
      );
    case 'numbers':
    case 'times': {
      const setBound = editor === 'numbers' ? setNumber : set;
      const hint = editor === 'times' ? { placeholder: text.rule.timeHint } : {};
      return (
        <span className="two-fields">
          <TextInput
            label={text.rule.from}
            {...field('lowerBound')}
            {...hint}
            value={valueOf('lowerBound')}
            onChange={setBound('lowerBound')}
          />
          <TextInput
            label={text.rule.to}
            {...field('upperBound')}
            {...hint}
            value={valueOf('upperBound')}
            onChange={setBound('upperBound')}
          />
        </span>
      );
    }
    case 'date':
      return (
        <TextInput
          label={text.rule.day}
          type="date"
          {...field('day')}
          value={dayOf(operation)}
          onChange={(day) => onChange(withDay(operation, day))}
        />
      );
    case 'time':
      return (
        <TextInput
          label={text.rule.time}
          {...field('timestamp')}
          placeholder={text.rule.timeHint}
          value={valueOf('timestamp')}
          onChange={set('timestamp')}
        />
      );
    case 'days':
      return (
        <TextInput
          label={text.rule.days}
          {...field('numberOfDays')}
          value={valueOf('numberOfDays')}
          onChange={setNumber('numberOfDays')}
        />
      );
    case 'calendar':
      return (
        <span className="two-fields">
          <TextInput
            label={text.rule.amount}
            {...field('timeUnitCount')}
            value={valueOf('timeUnitCount')}
            onChange={setNumber('timeUnitCount')}
          />
          <SelectInput
            label={text.rule.unit}
            {...field('timeUnit')}
            value={textAt(operation, ['timeUnit']) ?? ''}
            choices={UNITS}
            onChange={set('timeUnit')}
          />
        </span>
      );
    case 'property':
      return (
        <TextInput
          label={text.rule.otherProperty}
          {...field('comparisonPropertyName')}
          placeholder={text.rule.otherHint}
          value={valueOf('comparisonPropertyName')}
          onChange={set('comparisonPropertyName')}
        />
      );
    case null:
      return (
        <Button isSmall look="quiet" icon={Braces} onPress={showJson}>
          {text.rule.asJson}
        </Button>
      );
  }
}
