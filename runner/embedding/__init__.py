"""`cw.embed`: another notebook as a part of a cell, run by an engine of its own in this process."""
