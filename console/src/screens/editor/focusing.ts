/** The focus after an edit: it moves when the fields of the new document are shown. */

/** Focus the first field at a path or inside it. */
export function focusPath(path: string): void {
  requestAnimationFrame(() => {
    const fields = [...document.querySelectorAll<HTMLElement>('[data-path]')];
    const isInside = (field: HTMLElement): boolean => (field.dataset.path ?? '').startsWith(path);
    const isAround = (field: HTMLElement): boolean => path.startsWith(field.dataset.path ?? ' ');
    const longest = (first: HTMLElement, second: HTMLElement): number =>
      (second.dataset.path ?? '').length - (first.dataset.path ?? '').length;
    const field = fields.find(isInside) ?? fields.filter(isAround).sort(longest)[0];
    field?.focus();
    field?.scrollIntoView({ block: 'nearest' });
  });
}
