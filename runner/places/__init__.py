"""Where cells can run besides the runner itself: the protocol, the worker's side, and the engines."""
