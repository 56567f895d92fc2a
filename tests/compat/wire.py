"""Runs ipykernel's own tests that go over the wire against this kernel: `make compat-wire`.

The tests are those of a pinned source distribution, run where they are, with a kernelspec `python3` that
starts this kernel. What fails must be in `EXCEPTIONS`, which says why, and what is in it must fail.
"""

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from cellwire.frontends.jupyter.kernelspecs import install

VERSION = "7.4.0"
#: What its tests need, and ours would be disturbed by; and what its source is unpacked with.
PLUGINS = ("flaky", "pytest-asyncio<1", "hatchling")
FILES = ("test_message_spec.py", "test_kernel.py", "test_async.py", "test_debugger.py")
#: Fails while its cell still runs, which would disturb the next test: it runs by itself.
ALONE = "tests/test_message_spec.py::test_non_execute_stop_on_error"
_THREADS = "expects a thread's text under the cell that runs; it is under the one that started the thread"
_SUBSHELLS = "there are no subshells: all but cells is answered while a cell runs"
EXCEPTIONS = {
    "test_print_to_correct_cell_from_thread[none]": _THREADS,
    "test_print_to_correct_cell_from_thread[thread-local]": _THREADS,
    "test_execute_reply_error_status[display-formatting-error]": "a broken __repr__ is shown, and no error",
    "test_non_execute_stop_on_error": "expects that kernel_info waits for a cell; it is answered at once",
    "test_subshell": _SUBSHELLS,
    "test_kernel_info_request": _SUBSHELLS,
}


def main() -> int:
    place = Path(__file__).parents[2] / "build" / "compat"
    place.mkdir(parents=True, exist_ok=True)
    tests = _sources(place)
    install(place / "jupyter", "python3")
    environment = {
        **os.environ,
        # Before the kernels of the environment.
        "JUPYTER_PATH": str(place / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(place / "runtime"),
        "XDG_DATA_HOME": str(place / "data"),
        "NO_COLOR": "1",
        "PYTHONPATH": str(place / "plugins"),
    }
    (place / "runtime").mkdir(mode=0o700, exist_ok=True)
    files = [f"tests/{name}" for name in FILES]
    texts, failed = "", set[str]()
    for chosen in ([*files, "--deselect", ALONE], [ALONE]):
        command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "-o", "addopts="]
        command += ["-o", "filterwarnings=default", "--tb=short", *chosen]
        done = subprocess.run(
            command, cwd=tests, env=environment, stdout=subprocess.PIPE, text=True, timeout=900
        )
        texts += done.stdout
        failed |= set(re.findall(r"^FAILED tests/\w+\.py::(\S+)", done.stdout, re.MULTILINE))
        sys.stdout.write(done.stdout.strip().rpartition("\n")[2] + "\n")
        if done.returncode not in (0, 1):
            sys.stdout.write(done.stdout)
            return 1
    unexpected, repaired = failed - EXCEPTIONS.keys(), EXCEPTIONS.keys() - failed
    if unexpected:
        sys.stdout.write(texts)
    for title, names in (("fails and should not", unexpected), ("passes and is listed", repaired)):
        for name in sorted(names):
            sys.stdout.write(f"{title}: {name}\n")
    return 1 if unexpected or repaired else 0


def _sources(place: Path) -> Path:
    """Return where the tests are; the first call takes them from the package registry."""
    tests = place / f"ipykernel-{VERSION}"
    if not tests.exists():
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        plugins = ["install", "--target", place / "plugins", *PLUGINS]
        subprocess.run([*pip, *plugins], check=True, timeout=300)
        download = ["download", "--no-deps", "--no-build-isolation", "--no-binary", "ipykernel"]
        environment = {**os.environ, "PYTHONPATH": str(place / "plugins")}
        command = [*pip, *download, "--dest", place, f"ipykernel=={VERSION}"]
        subprocess.run(command, env=environment, check=True, timeout=300)
        with tarfile.open(place / f"ipykernel-{VERSION}.tar.gz") as archive:
            archive.extractall(place, filter="data")
    return tests


if __name__ == "__main__":
    sys.exit(main())
