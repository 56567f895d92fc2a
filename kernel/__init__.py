"""The kernel process: sockets, log, notebook state, and the runner's life. It never runs user code."""
