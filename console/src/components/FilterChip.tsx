import { Plus, X } from 'lucide-react';
import {
  Autocomplete,
  Button,
  DialogTrigger,
  Input,
  ListBox,
  ListBoxItem,
  Popover,
  useFilter,
} from 'react-aria-components';
import { SearchField as AriaSearchField } from 'react-aria-components/SearchField';
import { Dialog } from 'react-aria-components/Dialog';

import { text } from '../text';
import { UserText } from './UserText';

export interface FilterOption {
  id: string;
  label: string;
  /** A second line, for example the event type. */
  detail?: string;
}

interface FilterChipProps {
  label: string;
  options: readonly FilterOption[];
  /** Null: no filter. */
  value: string | null;
  onChange: (value: string | null) => void;
}

/** A filter of a list: a button that opens the values, with a search if there are many. */
export function FilterChip({ label, options, value, onChange }: FilterChipProps) {
  const { contains } = useFilter({ sensitivity: 'base' });
  const chosen = options.find((option) => option.id === value);
  return (
    <span className="chip-group">
      <DialogTrigger>
        <Button className={`chip ${value === null ? '' : 'chosen'}`}>
          {value === null && <Plus size={14} strokeWidth={1.8} aria-hidden />}
          {label}
          {value !== null && (
            <b>
              <UserText>{chosen?.label ?? value}</UserText>
            </b>
          )}
        </Button>
        <Popover className="popover" placement="bottom start">
          <Dialog className="filter-dialog" aria-label={label}>
            {({ close }) => (
              <Autocomplete filter={contains}>
                {options.length > 8 && (
                  <AriaSearchField aria-label={text.action.search} autoFocus className="filter-search">
                    <Input placeholder={text.action.search} />
                  </AriaSearchField>
                )}
                <ListBox
                  className="menu"
                  aria-label={label}
                  items={options}
                  autoFocus={options.length > 8 ? false : 'first'}
                  selectionMode="single"
                  selectedKeys={value === null ? [] : [value]}
                  onSelectionChange={(keys) => {
                    const [key] = keys === 'all' ? [] : keys;
                    onChange(key === undefined ? null : String(key));
                    close();
                  }}
                >
                  {(option) => (
                    <ListBoxItem
                      id={option.id}
                      textValue={`${option.label} ${option.detail ?? ''}`}
                      className="menu-item two-lines"
                    >
                      <UserText>{option.label}</UserText>
                      {option.detail !== undefined && (
                        <small>
                          <UserText>{option.detail}</UserText>
                        </small>
                      )}
                    </ListBoxItem>
                  )}
                </ListBox>
              </Autocomplete>
            )}
          </Dialog>
        </Popover>
      </DialogTrigger>
      {value !== null && (
        <button
          type="button"
          className="chip-clear"
          aria-label={text.action.clearFilter(label)}
          onClick={() => onChange(null)}
        >
          <X size={12} strokeWidth={2} aria-hidden />
        </button>
      )}
    </span>
  );
}
