import { QueryClient } from '@tanstack/react-query';

import { ApiError } from './errors';

const RETRY_DELAYS_MS = [1_000, 4_000];

/** Whether a failed query is sent again: twice, if the same request may succeed later. */
export const isRetried = (failures: number, error: Error): boolean =>
  error instanceof ApiError && error.isTransient && failures < RETRY_DELAYS_MS.length;

/** Milliseconds before the next attempt. The API's `Retry-After` takes precedence. */
export const retryDelayMs = (failures: number, error: Error): number =>
  error instanceof ApiError && error.retryAfter !== null
    ? error.retryAfter * 1_000
    : (RETRY_DELAYS_MS[failures] ?? 4_000);

export const newQueryClient = (): QueryClient =>
  new QueryClient({
    defaultOptions: {
      queries: { retry: isRetried, retryDelay: retryDelayMs, staleTime: 10_000, refetchOnWindowFocus: false },
    },
  });
