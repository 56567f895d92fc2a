"""The files that a kernel makes, and removes when it ends: these and no others.

A path is not trusted to lead to the same place twice, since other users may be able to rename what is on
it. Directories are opened once, and files are made in the open directory, under names that do not exist. A
file is removed in the directory that it was made in, and only while its name still leads to the same inode.
A name whose file was replaced or moved is not the kernel's any more and is left alone.

A written file is locked as long as its kernel lives, so that other processes can see that it does.
"""

import fcntl
import os
import stat

from .diagnostics import report

#: A descriptor of a directory that need not be readable, where the system has such.
_DIRECTORY = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)

#: How every connection file begins.
_BEGINNING = b'{"endpoint":'

_Identity = tuple[int, int]


class MadeFiles:
    """What was made so far."""

    def __init__(self) -> None:
        self._made: list[tuple[int, str, _Identity]] = []
        #: The descriptors of directories, with their paths for messages.
        self._open: dict[int, str] = {}
        #: The descriptors of files, which hold their locks.
        self._locked: list[int] = []

    def open(self, path: str) -> int:
        """Return a descriptor of the existing directory `path`; it is closed by `remove`."""
        fd = os.open(path, _DIRECTORY)
        self._open[fd] = path
        return fd

    def make_directory(self, parent: int, name: str) -> int:
        """Make a directory of mode 0700 and return a descriptor of it; it is closed by `remove`.

        Raises: OSError if it cannot be made, or is replaced before it can be opened.
        """
        os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        self._open[fd] = self._path(parent, name)
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise PermissionError(f"{self._open[fd]} was replaced while it was made")
        self.add(parent, name)
        return fd

    def write(self, directory: int, name: str, content: bytes) -> None:
        """Make a file of mode 0600 that appears with its whole content.

        It takes the place of an empty file or of an older connection file.

        Raises: FileExistsError if the name leads to anything else; OSError if the file cannot be written.
        """
        if not _may_replace(directory, name):
            path = self._path(directory, name)
            raise FileExistsError(f"{path} exists and is not a connection file: remove it, or name another")
        temporary = f".{name}.{os.urandom(6).hex()}"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
        try:
            self._locked.append(fd)
            _lock(fd)
            with open(fd, "wb", closefd=False) as file:
                file.write(content)
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.unlink(temporary, dir_fd=directory)
            raise
        self.add(directory, name)

    def add(self, directory: int, name: str) -> None:
        """Note that the file or directory `name` was made.

        Raises: FileNotFoundError if it is not in this directory.
        """
        self._made.append((directory, name, _identity(os.lstat(name, dir_fd=directory))))

    def rename(self, directory: int, name: str, new: str) -> None:
        """Give a made file another name in its directory, which a file made earlier may have.

        Raises: FileExistsError if that name leads to anything else.
        """
        try:
            there = _identity(os.lstat(new, dir_fd=directory))
        except FileNotFoundError:
            there = None
        if there is not None and (directory, new, there) not in self._made:
            raise FileExistsError(f"{self._path(directory, new)} is not what this kernel made")
        os.rename(name, new, src_dir_fd=directory, dst_dir_fd=directory)
        self._made = [made for made in self._made if made[:2] not in ((directory, name), (directory, new))]
        self.add(directory, new)

    def remove(self) -> None:
        """Remove what was made and is still there, newest first; what cannot be removed is reported."""
        while self._made:
            directory, name, identity = self._made.pop()
            try:
                status = os.lstat(name, dir_fd=directory)
                if _identity(status) != identity:
                    report(f"left {self._path(directory, name)} alone: it is not what this kernel made")
                elif stat.S_ISDIR(status.st_mode):
                    os.rmdir(name, dir_fd=directory)
                else:
                    os.unlink(name, dir_fd=directory)
            except OSError as error:
                report(f"cannot remove {self._path(directory, name)}: {error.strerror}")
        while self._open:
            os.close(self._open.popitem()[0])
        while self._locked:
            os.close(self._locked.pop())

    def _path(self, directory: int, name: str) -> str:
        return os.path.join(self._open[directory], name)


def why_unsafe(path: str, writers: int = stat.S_IWGRP | stat.S_IWOTH) -> str:
    """Return why other users could replace what is made in the directory `path`; empty if they cannot.

    `writers` are the bits of a mode that say so of a directory without the sticky bit.
    """
    # Who owns the root directory is trusted: inside a user namespace that need not be user 0.
    trusted = {0, os.geteuid(), os.stat("/").st_uid}
    place: str = os.path.realpath(path)
    while True:
        status = os.stat(place)
        if status.st_uid not in trusted:
            return f"{place} belongs to another user"
        if status.st_mode & writers and not status.st_mode & stat.S_ISVTX:
            return f"other users may write to {place}, and it has no sticky bit"
        if place == os.path.dirname(place):
            return ""
        place = os.path.dirname(place)


def _may_replace(directory: int, name: str) -> bool:
    """Whether `name` is free, or leads to an empty file or a connection file of the same user."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        status = os.fstat(fd)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        return ours and os.read(fd, len(_BEGINNING)) in (b"", _BEGINNING)
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # Some network file systems have no locks.
        pass


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino
