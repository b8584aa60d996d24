/** A part of a document as JSON. Long text scrolls, so the keyboard must reach it. */
export function PartText({ label, children }: { label: string; children: string }) {
  return (
    <pre className="part-value" tabIndex={0} role="region" aria-label={label}>
      <code>{children}</code>
    </pre>
  );
}
