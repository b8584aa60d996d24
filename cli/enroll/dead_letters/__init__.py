"""Read the dead-letter queues: the unprocessed-events queue, and the one of the enrollments queue."""
