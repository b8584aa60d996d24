import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';

import { portalQuery } from '../../api/queries';
import { Id } from '../../components/Id';
import { Segmented } from '../../components/Segmented';
import { ErrorState, LoadingRows } from '../../components/states';
import { Switch } from '../../components/Switch';
import { setPreferences, usePreferences } from '../../shell/preferences';
import { Screen } from '../../shell/Screen';
import { applyTheme } from '../../shell/theme';
import { count, text } from '../../text';
import { PortalSettings } from './PortalSettings';

/** The settings of the portal, which the API keeps, and those of the console, which this browser keeps. */
export default function SettingsScreen() {
  const portal = useQuery(portalQuery());
  return (
    <Screen title={text.settings.title}>
      {portal.isPending ? (
        <LoadingRows rows={4} />
      ) : portal.data === undefined ? (
        <ErrorState error={portal.error} onRetry={() => void portal.refetch()} />
      ) : (
        <div className="page">
          <PortalSettings portal={portal.data} />
          <ConsoleSettings />
          <section className="card">
            <header>
              <h2>{text.settings.about}</h2>
            </header>
            <dl className="kv">
              <dt>{text.settings.caller}</dt>
              <dd>
                <Id>{portal.data.caller}</Id>
              </dd>
              <dt>{text.settings.scopes}</dt>
              <dd>
                <ul>
                  {portal.data.scopes.map((scope) => (
                    <li key={scope}>
                      <code>{scope}</code>
                    </li>
                  ))}
                </ul>
              </dd>
              <dt>{text.settings.stack}</dt>
              <dd>{text.settings.stackIn(portal.data.stack, portal.data.region, portal.data.isLocal)}</dd>
              <dt>{text.settings.history}</dt>
              <dd>
                {portal.data.historyDays === 0
                  ? text.settings.noHistory
                  : count(portal.data.historyDays, text.settings.day, text.settings.days)}
              </dd>
              <dt>{text.settings.api}</dt>
              <dd>
                <a className="link" href="/docs">
                  {text.settings.apiDocs}
                </a>
              </dd>
            </dl>
          </section>
        </div>
      )}
    </Screen>
  );
}

function ConsoleSettings() {
  const { theme, clock, singleKeys } = usePreferences();
  return (
    <section className="card">
      <header>
        <h2>{text.settings.console}</h2>
        <span className="muted">{text.settings.consoleExplanation}</span>
      </header>
      <div className="settings">
        <Setting label={text.settings.theme}>
          <Segmented
            label={text.settings.theme}
            options={[
              { value: 'system', label: text.settings.themeSystem },
              { value: 'light', label: text.settings.themeLight },
              { value: 'dark', label: text.settings.themeDark },
            ]}
            value={theme}
            onChange={(chosen) => {
              setPreferences({ theme: chosen });
              applyTheme(chosen);
            }}
          />
        </Setting>
        <Setting label={text.settings.times}>
          <Segmented
            label={text.settings.times}
            options={[
              { value: 'portal', label: text.settings.timesPortal },
              { value: 'local', label: text.settings.timesLocal },
              { value: 'utc', label: text.settings.timesUtc },
            ]}
            value={clock}
            onChange={(chosen) => setPreferences({ clock: chosen })}
          />
        </Setting>
        <Setting label={text.settings.singleKeys} explanation={text.settings.singleKeysExplanation}>
          <Switch
            label={text.settings.singleKeys}
            isOn={singleKeys}
            onChange={(isOn) => setPreferences({ singleKeys: isOn })}
          />
        </Setting>
      </div>
    </section>
  );
}

/** A setting: its label, and the control that changes it. */
const Setting = ({ label, explanation, children }: { label: string; explanation?: string; children: ReactNode }) => (
  <div className="setting">
    <span>
      {label}
      {explanation !== undefined && <small>{explanation}</small>}
    </span>
    {children}
  </div>
);
