const WIDTH = 5;
const GAP = 2;
const HEIGHT = 20;

/** Bars of a few numbers, the oldest first. The numbers are elsewhere in words. */
export function Sparkline({ values }: { values: readonly number[] }) {
  const most = Math.max(...values, 1);
  return (
    <svg
      className={`spark ${values.some((value) => value > 0) ? '' : 'none'}`}
      viewBox={`0 0 ${values.length * (WIDTH + GAP) - GAP} ${HEIGHT}`}
      aria-hidden="true"
    >
      {values.map((value, index) => {
        const height = Math.max(1, Math.round((value / most) * HEIGHT));
        // The bars have no identity but their place.
        return <rect key={index} x={index * (WIDTH + GAP)} y={HEIGHT - height} width={WIDTH} height={height} rx={1} />;
      })}
    </svg>
  );
}
