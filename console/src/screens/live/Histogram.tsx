import { useClock } from '../../shell/clock';
import { formatClock } from '../../components/times';
import { text } from '../../text';
import type { Bar } from './following';

const WIDTH = 60;
const GAP = 4;
const HEIGHT = 44;
/** Fewer events than these do not fill the height. */
const SMALLEST_SCALE = 5;
/** An axis has this many labels. */
const LABELS = 4;

interface HistogramProps {
  bars: readonly Bar[];
  /** The start of the minute that is shown alone. */
  selected: string | undefined;
  onSelect: (start: string) => void;
}

/** Events of the last 15 minutes. A press on a minute shows its events alone. */
export function Histogram({ bars, selected, onSelect }: HistogramProps) {
  const { nowMs, timeZone } = useClock();
  const most = Math.max(...bars.map(({ events }) => events), SMALLEST_SCALE);
  const events = bars.reduce((sum, bar) => sum + bar.events, 0);
  const enrolled = bars.reduce((sum, bar) => sum + bar.enrolled, 0);
  const clock = (iso: string) => formatClock(iso, nowMs, { timeZone }).replace(/:\d\d$/, '');
  const heightOf = (amount: number) => (amount === 0 ? 0 : Math.max(2, (amount / most) * HEIGHT));
  return (
    <div className="hist wide">
      <p className="muted small num">{text.live.summary(events, enrolled)}</p>
      <div className="bars" role="group" aria-label={text.live.histogram(events, enrolled)}>
        {bars.map((bar) => {
          const total = heightOf(bar.events);
          const good = Math.min(heightOf(bar.enrolled), total);
          const warn = Math.min(heightOf(bar.keptOut), total - good);
          const width = WIDTH - GAP;
          return (
            <button
              key={bar.start}
              type="button"
              disabled={bar.events === 0}
              aria-pressed={bar.start === selected}
              aria-label={text.live.minuteAt(clock(bar.start), bar.events)}
              title={text.live.minuteAt(clock(bar.start), bar.events)}
              onClick={() => onSelect(bar.start)}
            >
              <svg viewBox={`0 0 ${width} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
                <rect className="other" x="0" y={HEIGHT - total} width={width} height={total - good - warn} />
                <rect className="warn" x="0" y={HEIGHT - good - warn} width={width} height={warn} />
                <rect className="good" x="0" y={HEIGHT - good} width={width} height={good} />
              </svg>
            </button>
          );
        })}
      </div>
      <div className="axis num" aria-hidden="true">
        {Array.from({ length: LABELS }, (_, index) => {
          const bar = bars[Math.round((index * (bars.length - 1)) / (LABELS - 1))];
          return <span key={bar?.start ?? index}>{bar === undefined ? '' : clock(bar.start)}</span>;
        })}
      </div>
    </div>
  );
}
