import { type SubmitEvent, useId, useState } from 'react';

import { Button } from '../components/Button';
import { text } from '../text';
import { usePreferences } from './preferences';

/** The longest id that the API takes. */
const LONGEST_ID = 64;

/** Choose a portal by its id. The API has no list of portals. */
export function PortalForm({ onOpen }: { onOpen: (portalId: string) => void }) {
  const { portals } = usePreferences();
  const [portalId, setPortalId] = useState('');
  const fieldId = useId();

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    if (portalId.trim() !== '') onOpen(portalId.trim());
  }

  return (
    <form className="portal-form" onSubmit={submit}>
      <label htmlFor={fieldId}>{text.portal.id}</label>
      <div className="row">
        <span className="field grow">
          <input
            id={fieldId}
            value={portalId}
            maxLength={LONGEST_ID}
            autoComplete="off"
            spellCheck={false}
            autoFocus
            onChange={(event) => setPortalId(event.currentTarget.value)}
          />
        </span>
        <Button type="submit" look="primary">
          {text.portal.open}
        </Button>
      </div>
      <p className="muted">{text.portal.explanation}</p>
      {portals.length > 0 && (
        <>
          <h2 className="eyebrow">{text.portal.recent}</h2>
          <ul>
            {portals.map((id) => (
              <li key={id}>
                <button type="button" className="nav" onClick={() => onOpen(id)}>
                  {id}
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </form>
  );
}
