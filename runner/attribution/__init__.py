"""Which cell text, threads, tasks and child processes belong to."""
