"""Cells that run elsewhere, as tests of every place write them."""

from cellwire.protocol.messages import Cell


def there(id: str, source: str) -> Cell:
    """Return a cell that runs where the variable `client` says."""
    return Cell(id, source, on="client")


def as_cells(*cells: Cell | tuple[str, str]) -> list[Cell]:
    """Return cells, some of which are given as id and source."""
    return [Cell(*cell) if isinstance(cell, tuple) else cell for cell in cells]
