"""A kernel for every Jupyter frontend: Jupyter's sockets and messages as one more way into the kernel."""
