"""How an output item leaves the process."""
