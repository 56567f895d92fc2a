import sys
from pathlib import Path
from typing import Any

import pytest
from cellwire.runner.attribution.after_import import after_import


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_callback_gets_the_module_before_its_importer_does(folder: Path) -> None:
    (folder / "late_one.py").write_text("def show(): return 'original'")
    (folder / "late_user.py").write_text("from late_one import show\nresult = show()")

    def replace(module: Any) -> None:
        module.show = lambda: "replaced"

    after_import("late_one", replace)
    assert "late_one" not in sys.modules
    import late_user  # pyright: ignore[reportMissingImports]

    assert late_user.result == "replaced"


def test_a_callback_for_an_imported_module_is_called_at_once() -> None:
    seen: list[Any] = []
    after_import("pathlib", seen.append)
    assert seen == [sys.modules["pathlib"]]


def test_looking_for_a_module_calls_nothing(folder: Path) -> None:
    import importlib.util

    (folder / "late_two.py").write_text("")
    seen: list[Any] = []
    after_import("late_two", seen.append)
    assert importlib.util.find_spec("late_two") is not None
    assert seen == []
    import late_two  # pyright: ignore[reportMissingImports]

    assert seen == [late_two]


def test_a_module_that_fails_and_is_imported_again_has_its_callback(folder: Path) -> None:
    (folder / "late_three.py").write_text("import late_three_flag\nif late_three_flag.bad: 1 / 0")
    (folder / "late_three_flag.py").write_text("bad = True")
    seen: list[Any] = []
    after_import("late_three", seen.append)
    with pytest.raises(ZeroDivisionError):
        import late_three  # pyright: ignore[reportMissingImports]
    assert seen == []
    sys.modules["late_three_flag"].bad = False  # type: ignore[attr-defined]
    import late_three  # pyright: ignore[reportMissingImports]

    assert seen == [late_three]


def test_a_missing_module_stays_missing() -> None:
    after_import("no_such_module_anywhere", lambda _: None)
    with pytest.raises(ModuleNotFoundError):
        import no_such_module_anywhere  # pyright: ignore[reportMissingImports]  # noqa: F401


def test_a_callback_that_raises_does_not_break_the_import(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "late_four.py").write_text("value = 4")
    after_import("late_four", lambda module: module.no_such_name)
    import late_four  # pyright: ignore[reportMissingImports]

    assert late_four.value == 4
    assert "no_such_name" in capsys.readouterr().err
