"""The command `cellwire`."""
