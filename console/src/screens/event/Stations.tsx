import { Check, Clock, Minus, X } from 'lucide-react';

import { Time } from '../../components/Time';
import { UserText } from '../../components/UserText';
import { text } from '../../text';
import type { Station } from './stations';

const ICONS = { done: Check, open: Clock, failed: X, skipped: Minus } as const;

/** A line of stations, from when the event was sent to its latest state. */
export function Stations({ stations }: { stations: readonly Station[] }) {
  return (
    <ol className="stations" aria-label={text.event.stations}>
      {stations.map(({ name, state, at, detail }) => {
        const Icon = ICONS[state];
        return (
          <li key={name} className={`station ${state}`}>
            <span className="mark">
              <Icon size={14} strokeWidth={2.2} aria-hidden />
            </span>
            <b>
              <UserText>{name}</UserText>
              <span className="sr">: {text.event.stationState[state]}</span>
            </b>
            <small className="num">
              {at !== undefined && (
                <>
                  {state === 'open' && `${text.event.untilWord} `}
                  <Time iso={at} isAbsolute />
                </>
              )}
              {at !== undefined && detail !== undefined && ' · '}
              {detail !== undefined && <UserText>{detail}</UserText>}
            </small>
          </li>
        );
      })}
    </ol>
  );
}
