import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type SubmitEvent, useId, useState } from 'react';

import { changePortal } from '../../api/changes';
import { ApiError } from '../../api/errors';
import { type Portal, type PortalChange, portalQuery } from '../../api/queries';
import { Button } from '../../components/Button';
import { messageOf } from '../../components/states';
import { say } from '../../components/toasts';
import { useClock } from '../../shell/clock';
import { SCOPES, useMissingScope } from '../../shell/portal';
import { locale, text } from '../../text';

const MOST_MINUTES = 30;

/** The time zone and the tolerance of the portal. A fault of the API is shown at its field. */
export function PortalSettings({ portal }: { portal: Portal }) {
  const client = useQueryClient();
  const missingScope = useMissingScope(SCOPES.writeFlows);
  const [timeZone, setTimeZone] = useState(portal.timeZone);
  const [minutes, setMinutes] = useState(String(portal.criteriaTolerance));
  const saved = useMutation({
    mutationFn: (change: PortalChange) => changePortal(change),
    onSuccess: (stored) => {
      client.setQueryData(portalQuery().queryKey, stored);
      say(text.settings.saved);
    },
  });
  const isChanged = timeZone !== portal.timeZone || Number(minutes) !== portal.criteriaTolerance;

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    saved.mutate({
      ...(timeZone === portal.timeZone ? {} : { timeZone }),
      ...(Number(minutes) === portal.criteriaTolerance ? {} : { criteriaTolerance: Number(minutes) }),
    });
  }

  return (
    <form className="card" onSubmit={submit} noValidate>
      <header>
        <h2>{text.settings.portal(portal.portalId)}</h2>
        {missingScope !== undefined && <span className="muted">{missingScope}</span>}
      </header>
      <div className="settings">
        <TimeZoneField
          value={timeZone}
          onChange={setTimeZone}
          isDisabled={missingScope !== undefined}
          fault={faultOf(saved.error, '$.timeZone')}
        />
        <MinutesField
          value={minutes}
          onChange={setMinutes}
          isDisabled={missingScope !== undefined}
          fault={faultOf(saved.error, '$.criteriaTolerance')}
        />
        {saved.error !== null && !hasFieldFault(saved.error) && (
          <p className="fault" role="alert">
            {messageOf(saved.error)}
          </p>
        )}
      </div>
      <footer>
        <Button
          look="quiet"
          isDisabled={!isChanged}
          onPress={() => {
            setTimeZone(portal.timeZone);
            setMinutes(String(portal.criteriaTolerance));
            saved.reset();
          }}
        >
          {text.action.discard}
        </Button>
        <Button type="submit" look="primary" isDisabled={!isChanged || saved.isPending || missingScope !== undefined}>
          {text.action.save}
        </Button>
      </footer>
    </form>
  );
}

interface FieldProps {
  value: string;
  onChange: (value: string) => void;
  isDisabled: boolean;
  fault: string | undefined;
}

function TimeZoneField({ value, onChange, isDisabled, fault }: FieldProps) {
  const id = useId();
  const zones = useId();
  return (
    <div className="setting">
      <label htmlFor={id}>
        {text.settings.timeZone}
        <small>{sampleOf(value, useClock().nowMs)}</small>
      </label>
      <span className={`field ${fault === undefined ? '' : 'bad'}`}>
        <input
          id={id}
          list={zones}
          value={value}
          disabled={isDisabled}
          autoComplete="off"
          spellCheck={false}
          aria-invalid={fault !== undefined}
          aria-describedby={fault === undefined ? undefined : `${id}-fault`}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
        <datalist id={zones}>
          {Intl.supportedValuesOf('timeZone').map((zone) => (
            <option key={zone} value={zone} />
          ))}
        </datalist>
      </span>
      <Fault id={id}>{fault}</Fault>
    </div>
  );
}

function MinutesField({ value, onChange, isDisabled, fault }: FieldProps) {
  const id = useId();
  return (
    <div className="setting">
      <label htmlFor={id}>
        {text.settings.tolerance}
        <small>{text.settings.toleranceExplanation}</small>
      </label>
      <span className={`field short ${fault === undefined ? '' : 'bad'}`}>
        <input
          id={id}
          type="number"
          min={0}
          max={MOST_MINUTES}
          step={0.5}
          value={value}
          disabled={isDisabled}
          aria-invalid={fault !== undefined}
          aria-describedby={fault === undefined ? undefined : `${id}-fault`}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
        <span className="muted">{text.settings.minutes}</span>
      </span>
      <Fault id={id}>{fault}</Fault>
    </div>
  );
}

function Fault({ id, children }: { id: string; children: string | undefined }) {
  return children === undefined ? null : (
    <p className="fault" role="alert" id={`${id}-fault`}>
      {children}
    </p>
  );
}

const faultsOf = (error: Error | null) => (error instanceof ApiError ? error.faults : []);
const faultOf = (error: Error | null, path: string): string | undefined =>
  faultsOf(error).find((fault) => fault.in === path)?.message;
const hasFieldFault = (error: Error): boolean =>
  faultsOf(error).some((fault) => fault.in === '$.timeZone' || fault.in === '$.criteriaTolerance');

/** `This month began 1 Nov 00:00`, in the zone and in UTC; nothing for an unknown zone. */
function sampleOf(timeZone: string, nowMs: number): string {
  try {
    const zoned = new Intl.DateTimeFormat(`${locale}-GB`, { timeZone, dateStyle: 'medium', timeStyle: 'short' });
    return text.settings.nowIn(zoned.format(nowMs));
  } catch {
    return text.settings.unknownZone;
  }
}
