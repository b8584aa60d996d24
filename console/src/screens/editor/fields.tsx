/** The fields of the editor. Each has the path of its value, so that a fault leads to it. */

import { X } from 'lucide-react';
import { type ReactNode, useId, useState } from 'react';

import { type Path, writePath } from '../../drafts/json';
import { editorText as text } from '../../editor-text';

interface FieldProps {
  label: string;
  path: Path;
  isBad?: boolean;
}

interface TextInputProps extends FieldProps {
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
  type?: 'text' | 'number' | 'date';
  /** Values to choose from. Other values can be typed. */
  suggestions?: readonly { readonly value: string; readonly label?: string }[];
  autoFocus?: boolean;
}

export function TextInput({
  label,
  path,
  isBad = false,
  value,
  onChange,
  placeholder,
  type = 'text',
  suggestions = [],
  autoFocus = false,
}: TextInputProps) {
  const list = useId();
  return (
    <span className={`field ${isBad ? 'bad' : ''}`}>
      <input
        aria-label={label}
        aria-invalid={isBad}
        data-path={writePath(path)}
        data-focus={autoFocus || undefined}
        type={type}
        step={type === 'number' ? 'any' : undefined}
        value={value}
        placeholder={placeholder}
        autoComplete="off"
        spellCheck={false}
        list={suggestions.length > 0 ? list : undefined}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
      {suggestions.length > 0 && (
        <datalist id={list}>
          {suggestions.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </datalist>
      )}
    </span>
  );
}

export interface Choice {
  readonly value: string;
  readonly label: string;
  /** Choices of one group are listed together. */
  readonly group?: string;
}

interface SelectInputProps extends FieldProps {
  value: string;
  onChange: (value: string) => void;
  choices: readonly Choice[];
  /** Shown while no value is chosen. */
  placeholder?: string;
}

export function SelectInput({ label, path, isBad = false, value, onChange, choices, placeholder }: SelectInputProps) {
  const groups = [...new Set(choices.map((choice) => choice.group))];
  const isUnknown = value !== '' && !choices.some((choice) => choice.value === value);
  const optionsOf = (group: string | undefined): ReactNode =>
    choices
      .filter((choice) => choice.group === group)
      .map((choice) => (
        <option key={choice.value} value={choice.value}>
          {choice.label}
        </option>
      ));
  return (
    <span className={`field select ${isBad ? 'bad' : ''}`}>
      <select
        aria-label={label}
        aria-invalid={isBad}
        data-path={writePath(path)}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
      >
        {placeholder !== undefined && (
          <option value="" disabled>
            {placeholder}
          </option>
        )}
        {isUnknown && <option value={value}>{value}</option>}
        {groups.map((group) =>
          group === undefined || groups.length === 1 ? (
            optionsOf(group)
          ) : (
            <optgroup key={group} label={group}>
              {optionsOf(group)}
            </optgroup>
          ),
        )}
      </select>
    </span>
  );
}

interface TokensInputProps extends FieldProps {
  values: readonly string[];
  onChange: (values: readonly string[]) => void;
  placeholder?: string;
  suggestions?: readonly { readonly value: string; readonly label?: string }[];
  /** One value stays editable text until Enter, which begins the next one. */
  isText?: boolean;
}

/**
 * Several values. What is typed is a value at once, so that nothing is lost if the flow is saved. Enter begins the next
 * value; Backspace in the empty field edits the last one.
 */
export function TokensInput({
  label,
  path,
  isBad = false,
  values,
  onChange,
  placeholder,
  suggestions = [],
  isText = false,
}: TokensInputProps) {
  const list = useId();
  const [isOpen, setOpen] = useState(isText && values.length === 1);
  const isEditing = isOpen && values.length > 0;
  const closed = isEditing ? values.slice(0, -1) : values;
  const typed = isEditing ? (values.at(-1) ?? '') : '';
  return (
    <span className={`field tokens ${isBad ? 'bad' : ''}`}>
      {closed.map((value, index) => (
        // Two values may be equal.
        <span key={`${index} ${value}`} className="token">
          <span className="truncate">{value}</span>
          <button
            type="button"
            aria-label={text.rule.removeValue(value)}
            onClick={() => onChange(values.filter((_, other) => other !== index))}
          >
            <X size={12} strokeWidth={2} aria-hidden />
          </button>
        </span>
      ))}
      <input
        aria-label={label}
        aria-invalid={isBad}
        data-path={writePath(path)}
        value={typed}
        placeholder={values.length === 0 ? placeholder : undefined}
        autoComplete="off"
        spellCheck={false}
        list={suggestions.length > 0 ? list : undefined}
        onChange={(event) => {
          const next = event.currentTarget.value;
          setOpen(next !== '');
          onChange(next === '' ? closed : [...closed, next]);
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && typed !== '') {
            event.preventDefault();
            setOpen(false);
          }
          if (event.key === 'Backspace' && typed === '' && closed.length > 0) {
            event.preventDefault();
            setOpen(true);
          }
        }}
        onBlur={() => {
          if (!isText || values.length > 1) setOpen(false);
        }}
      />
      {suggestions.length > 0 && (
        <datalist id={list}>
          {suggestions.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </datalist>
      )}
    </span>
  );
}
