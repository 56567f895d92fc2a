"""What was run, for `history_request`: the inputs of this process, and those of earlier ones from a file.

The file is an SQLite database in the user's data directory, readable only by the user and shared by all
kernels; each process is one session in it. Entries are kept in memory first and written in one transaction
now and then, so that runs do not wait for the disk. If the file cannot be used, only the history of this
process is known.
"""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import sqlite3

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (session INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER, started REAL);
CREATE TABLE IF NOT EXISTS inputs (
    session INTEGER, line INTEGER, source TEXT, output TEXT, PRIMARY KEY (session, line)
) WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS passing (
    session INTEGER, line INTEGER, source TEXT, output TEXT, PRIMARY KEY (session, line)
) WITHOUT ROWID;
"""
_ALL = "(SELECT * FROM inputs UNION ALL SELECT * FROM passing)"
_NEW_SESSION = "INSERT INTO sessions (pid, started) VALUES (?, julianday('now')) RETURNING session"
#: Seconds that a statement waits while another process writes.
_PATIENCE = 0.2
#: How many characters of an output are kept at most, and how many entries an answer has.
_OUTPUT = 10_000
_ENTRIES = 10_000

Entry = tuple[int, int, str, str | None]


class _Query(NamedTuple):
    where: str
    parameters: tuple[Any, ...]
    most: int = _ENTRIES
    unique: bool = False


def default_file() -> str:
    """Return where history is kept: `$XDG_DATA_HOME/cellwire/history.sqlite` or the like."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(data, "cellwire", "history.sqlite")


class History:
    """The inputs of this kernel process, and access to those of others."""

    def __init__(self, file: str | os.PathLike[str] | None = None) -> None:
        self._file = default_file() if file is None else os.fspath(file)
        self._database: sqlite3.Connection | None = None
        # The session of this process in the database; 0 until something has been written.
        self._session = 0
        self._unwritten: dict[int, tuple[str, str | None]] = {}
        # Lines that never go into the file.
        self._passing: set[int] = set()

    @property
    def pending(self) -> bool:
        """Whether there is something for the file."""
        return bool(self._unwritten.keys() - self._passing)

    def add(self, line: int, source: str, *, kept: bool = True) -> None:
        """Note the input with the number `line`; what is not `kept` is forgotten with this process."""
        self._unwritten[line] = (source, None)
        if not kept:
            self._passing.add(line)
        if len(self._unwritten) > _ENTRIES:
            oldest = next(iter(self._unwritten))
            del self._unwritten[oldest]
            self._passing.discard(oldest)

    def add_output(self, line: int, text: str) -> None:
        """Note what the last expression of an input showed, unless the input has been saved."""
        if line in self._unwritten:
            self._unwritten[line] = (self._unwritten[line][0], text[:_OUTPUT])

    def save(self) -> None:
        """Write the new entries; those that cannot be written stay in memory."""
        import sqlite3

        if not self._unwritten:
            return
        try:
            database = self._opened()
            with database:
                if not self._session:
                    [(self._session,)] = database.execute(_NEW_SESSION, (os.getpid(),)).fetchall()
                for table, lines in (
                    ("inputs", self._unwritten.keys() - self._passing),
                    ("passing", self._passing),
                ):
                    database.executemany(
                        f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)",
                        [(self._session, line, *self._unwritten[line]) for line in lines],
                    )
        except (OSError, sqlite3.Error, UnicodeEncodeError):
            return
        self._unwritten.clear()
        self._passing.clear()

    def answer(self, content: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Return the entries that a `history_request` asks for, oldest first."""
        self.save()
        query = _query(content, self._session)
        entries = self._entries(query)
        if query.unique:
            # Of entries with the same text, the newest.
            newest: dict[str, Entry] = {}
            for entry in reversed(entries):
                newest.setdefault(entry[2], entry)
            entries = list(newest.values())[::-1]
        entries = entries[-query.most :]
        if content.get("output"):
            return [(session, line, (source, output)) for session, line, source, output in entries]
        return [entry[:3] for entry in entries]

    def close(self) -> None:
        """Save, and close the file."""
        if self.pending:
            self.save()
        if self._database is not None:
            self._database.close()
            self._database = None

    def _entries(self, query: _Query) -> list[Entry]:
        import sqlite3

        try:
            found = self._opened().execute(
                f"SELECT session, line, source, output FROM {_ALL} WHERE {query.where} "
                "ORDER BY session DESC, line DESC LIMIT ?",
                (*query.parameters, _ENTRIES if query.unique else query.most),
            )
            return found.fetchall()[::-1]
        except (OSError, sqlite3.Error):
            return self._from_memory(query)

    def _from_memory(self, query: _Query) -> list[Entry]:
        """Answer without a file, by the same query."""
        import sqlite3

        database = sqlite3.connect(":memory:")
        try:
            database.executescript(_SCHEMA)
            entries = [(self._session, line, *entry) for line, entry in self._unwritten.items()]
            database.executemany("INSERT INTO inputs VALUES (?, ?, ?, ?)", entries)
            sql = f"SELECT * FROM inputs WHERE {query.where} ORDER BY line"
            return database.execute(sql, query.parameters).fetchall()
        finally:
            database.close()

    def _opened(self) -> "sqlite3.Connection":
        import sqlite3

        if self._database is None:
            os.makedirs(os.path.dirname(self._file), mode=0o700, exist_ok=True)
            # SQLite creates its other files with the mode of this one.
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
            database = sqlite3.connect(self._file, timeout=_PATIENCE)
            try:
                database.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {_SCHEMA}")
            except sqlite3.Error:
                database.close()
                raise
            self._database = database
        return self._database


def _query(content: dict[str, Any], current: int) -> _Query:
    """Return what a `history_request` asks for; `current` is the session of this process."""
    kind = content.get("hist_access_type", "tail")
    most = _number(content.get("n")) or _ENTRIES
    if kind == "range":
        session = _number(content.get("session"))
        # 0 is this session and -1 the one before.
        session = session if session > 0 else current + session
        stop = content.get("stop")
        lines = (_number(content.get("start")), 1 << 62 if stop is None else _number(stop))
        return _Query("session = ? AND line >= ? AND line < ?", (session, *lines))
    if kind == "search":
        pattern = str(content.get("pattern") or "*")
        return _Query("source GLOB ?", (pattern,), most, bool(content.get("unique")))
    return _Query("TRUE", (), most)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
