import { say } from './toasts';

interface SwitchProps {
  label: string;
  isOn: boolean;
  onChange: (isOn: boolean) => void;
  /** A change is under way. The switch shows the new state already. */
  isBusy?: boolean;
  /** Why the switch cannot be used; undefined if it can. */
  disabledBecause?: string | undefined;
}

/**
 * A switch that acts at once. A disabled one keeps its place in the order of focus, has the reason as its description
 * and its tooltip, and shows the reason when it is pressed, because a touch screen has no tooltips.
 */
export function Switch({ label, isOn, onChange, isBusy = false, disabledBecause }: SwitchProps) {
  function press(): void {
    if (disabledBecause !== undefined) say(disabledBecause);
    else if (!isBusy) onChange(!isOn);
  }

  return (
    <button
      type="button"
      role="switch"
      className="switch"
      aria-label={label}
      aria-checked={isOn}
      aria-busy={isBusy}
      aria-disabled={disabledBecause !== undefined}
      title={disabledBecause}
      onClick={press}
    />
  );
}
