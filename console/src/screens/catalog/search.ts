/** The search of the catalog, which is in its address. */

export interface CatalogSearch {
  search?: string;
}

export const readCatalogSearch = (raw: Record<string, unknown>): CatalogSearch =>
  typeof raw.search === 'string' && raw.search !== '' ? { search: raw.search } : {};
