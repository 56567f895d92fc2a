import subprocess
import sys
import textwrap

import cellwire
import pytest

NAMES = [
    "Thread",
    "capture_stderr",
    "capture_stdout",
    "cell_id",
    "current_thread",
    "detached",
    "embed",
    "embed_async",
    "fetch",
    "html",
    "md",
    "mime",
    "on_retire",
    "output",
    "progress_bar",
    "redirect_stderr",
    "redirect_stdout",
    "register_formatter",
    "running_in_kernel",
    "spinner",
    "state",
    "stop",
]


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_public_names_are_these() -> None:
    assert cellwire.__all__ == NAMES == sorted(NAMES)
    assert set(NAMES) <= set(dir(cellwire))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    assert getattr(cellwire, name).__doc__


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = cellwire.nonsense  # type: ignore[attr-defined]


def test_importing_the_package_loads_nothing_else() -> None:
    result = run("""
        import sys
        before = set(sys.modules)
        import cellwire as cw
        print(sorted(name for name in set(sys.modules) - before if not name.startswith("__editable__")))
        import cellwire.protocol.events
        print(sorted(name for name in sys.modules if name.startswith("cellwire.runner")))
    """)
    assert result.stderr == ""
    assert result.stdout == "['cellwire', 'cellwire.version']\n[]\n"


def test_every_name_works_in_a_plain_python_process() -> None:
    result = run("""
        import threading
        import cellwire as cw
        get, set_ = cw.state(1)
        set_(lambda old: old + 1)
        print(get())
        thread = cw.Thread(target=lambda: print("thread", cw.current_thread().should_exit))
        thread.start()
        thread.join()
        with cw.detached():
            plain = threading.Thread(target=print, args=("detached",))
            plain.start()
        plain.join()
        with cw.capture_stdout() as text, cw.redirect_stderr():
            print("captured")
        print(repr(text.getvalue()))
        print(cw.html("<i>"), cw.md("*m*"), cw.mime({"text/plain": "p"}))
        cw.register_formatter("builtins.complex", lambda value: {"text/plain": "complex"})
        cw.output.append(1j)
        cw.stop(False)
        cw.stop(True, "stopped")
        print("never")
    """)
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "2",
        "thread False",
        "detached",
        "'captured\\n'",
        "<i> *m* p",
        "complex",
        "stopped",
    ]
    assert result.returncode == 0
