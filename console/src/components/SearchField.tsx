import { Search } from 'lucide-react';
import { type Ref, useId } from 'react';

interface SearchFieldProps {
  label: string;
  placeholder: string;
  value: string;
  onChange: (value: string) => void;
  /** The key that goes to the field. */
  shortcut?: string;
  onEnter?: () => void;
  inputRef?: Ref<HTMLInputElement>;
  className?: string;
}

/** A field that filters or searches. Escape empties it, and leaves it if it is empty. */
export function SearchField({
  label,
  placeholder,
  value,
  onChange,
  shortcut,
  onEnter,
  inputRef,
  className,
}: SearchFieldProps) {
  const id = useId();
  return (
    <div className={`field search ${className ?? ''}`}>
      <Search size={14} strokeWidth={1.8} aria-hidden />
      <label htmlFor={id} className="sr">
        {label}
      </label>
      <input
        id={id}
        ref={inputRef}
        type="search"
        autoComplete="off"
        spellCheck={false}
        placeholder={placeholder}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter') onEnter?.();
          if (event.key !== 'Escape') return;
          event.preventDefault();
          if (value === '') event.currentTarget.blur();
          else onChange('');
        }}
      />
      {shortcut !== undefined && value === '' && <kbd className="kbd wide">{shortcut}</kbd>}
    </div>
  );
}
