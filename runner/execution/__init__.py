"""How a cell is run, and how it ended."""
