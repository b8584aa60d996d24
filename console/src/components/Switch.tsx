import { HtmlTooltip } from './Tooltip';

interface SwitchProps {
  label: string;
  isOn: boolean;
  onChange: (isOn: boolean) => void;
  /** A change is under way. The switch shows the new state already. */
  isBusy?: boolean;
  /** Why the switch cannot be used; undefined if it can. */
  disabledBecause?: string | undefined;
}

/** A switch that acts at once. It stays in the order of focus when disabled, so that its reason can be read. */
export function Switch({ label, isOn, onChange, isBusy = false, disabledBecause }: SwitchProps) {
  return (
    <HtmlTooltip text={disabledBecause}>
      <button
        type="button"
        role="switch"
        className="switch"
        aria-label={label}
        aria-checked={isOn}
        aria-busy={isBusy}
        aria-disabled={disabledBecause !== undefined}
        onClick={() => {
          if (disabledBecause === undefined && !isBusy) onChange(!isOn);
        }}
      />
    </HtmlTooltip>
  );
}
