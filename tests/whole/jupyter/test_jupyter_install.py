"""How Jupyter learns of the kernel: `cellwire jupyter install`."""

import json
import sys
from pathlib import Path

import pytest
from cellwire.frontends.cli.main import main
from jupyter_client.kernelspec import KernelSpecManager
from support.jupyter import started


def test_jupyter_finds_what_is_installed_for_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    assert main(["jupyter", "install"]) == 0
    said = capsys.readouterr().out
    specs = KernelSpecManager().get_all_specs()
    assert {"cellwire", "cellwire-lazy"} <= specs.keys()
    for name in ("cellwire", "cellwire-lazy"):
        directory = Path(specs[name]["resource_dir"])
        assert str(directory) in said
        spec = specs[name]["spec"]
        assert spec["argv"][0] == sys.executable
        assert spec["interrupt_mode"] == "message"
        assert {"logo-32x32.png", "logo-64x64.png", "logo-svg.svg"} <= {f.name for f in directory.iterdir()}


def test_another_environment_may_have_it_under_another_name(tmp_path: Path) -> None:
    assert (
        main(["jupyter", "install", "--prefix", str(tmp_path), "--name", "mine", "--display-name", "Mine"])
        == 0
    )
    kernels = tmp_path / "share" / "jupyter" / "kernels"
    assert sorted(path.name for path in kernels.iterdir()) == ["mine", "mine-lazy"]
    assert json.loads((kernels / "mine" / "kernel.json").read_text())["display_name"] == "Mine"
    assert json.loads((kernels / "mine-lazy" / "kernel.json").read_text())["display_name"] == "Mine (lazy)"


def test_an_environment_without_ipython_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for missing in (False, True):
        if missing:
            monkeypatch.setitem(sys.modules, "IPython", None)
        assert main(["jupyter", "install", "--prefix", str(tmp_path)]) == 0
        assert ("pip install 'cellwire[jupyter]'" in capsys.readouterr().err) == missing


def test_a_name_that_jupyter_does_not_take_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["jupyter", "install", "--name", "ä/b"])
    assert "letters of ASCII" in capsys.readouterr().err


def test_the_lazy_kernel_starts_as_well() -> None:
    with started(kernel_name="cellwire-lazy") as kernel:
        assert kernel.run("1 + 1").result == "2"
