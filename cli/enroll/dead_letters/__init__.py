"""Read the unprocessed-events queue, which is the dead-letter queue for events."""
