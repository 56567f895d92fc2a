"""The worker's end of a place: where the code of a cell is executed."""
