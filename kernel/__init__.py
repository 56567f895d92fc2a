"""The kernel process: sockets, log, replica, and the runner's life. It never runs user code."""
