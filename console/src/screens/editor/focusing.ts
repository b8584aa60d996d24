/** The focus after an edit, and from a fault to its field. */

/** Focus the first field at a path or inside it; otherwise the field around it. False: the page has neither. */
export function focusField(path: string): boolean {
  const fields = [...document.querySelectorAll<HTMLElement>('[data-path]')];
  const isInside = (field: HTMLElement): boolean => (field.dataset.path ?? '').startsWith(path);
  const isAround = (field: HTMLElement): boolean => path.startsWith(field.dataset.path ?? ' ');
  const longest = (first: HTMLElement, second: HTMLElement): number =>
    (second.dataset.path ?? '').length - (first.dataset.path ?? '').length;
  const field = fields.find(isInside) ?? fields.filter(isAround).sort(longest)[0];
  field?.focus();
  field?.scrollIntoView({ block: 'nearest' });
  return field !== undefined;
}

/** Focus a field that the present edit adds, when it is shown. */
export function focusPath(path: string): void {
  requestAnimationFrame(() => focusField(path));
}
