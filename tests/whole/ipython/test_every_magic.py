"""A cell for each magic that ships with IPython, in cellwire and in ipykernel."""

import pytest
from support.two_kernels import Ran, compare, run_in_cellwire, run_in_ipykernel

#: What each magic is tried with; a list runs one after the other.
CELLS: dict[str, str | list[str]] = {
    # Python
    "%time": ["%time x = 6 * 7", "x", "y = %time x + 1", "y"],
    "%%time": ["%%time\nz = sum(range(10))\nz", "z"],
    "%timeit": ["%timeit -n 2 -r 2 sum(range(10))", "r = %timeit -n 1 -r 1 -q -o pass", "r.loops"],
    "%%timeit": "%%timeit -n 1 -r 1 n = 5\nsum(range(n))",
    "%prun": ["%prun -q -T prun.txt p = sum(range(10))", "p", "open('prun.txt').read(10)"],
    "%%prun": ["%%prun -q\nq = 1 + 1", "q"],
    "%%debug": "1 / 1",
    "%pdb": ["%pdb on", "%pdb off"],
    "%%capture": ["%%capture out\nprint('text')\n!echo command\ndisplay(1)\n2", "out.stdout", "out.show()"],
    "%run": ["%%writefile ran.py\nran = __name__\nprint('runs', ran)\n", "%run ran.py", "ran"],
    "%pylab": ["%pylab inline", "linspace(0, 1, 3)"],
    "%precision": ["%precision 3", "3.14159265", "%precision %r"],
    "%pprint": ["%pprint", "list(range(30))", "%pprint"],
    "%autoawait": "%autoawait",
    "%autocall": "%autocall 0",
    "%automagic": ["%automagic off", "%automagic on"],
    "%code_wrap": ["%code_wrap --list"],
    # Names
    "%who": ["%reset -f", "a = 1\nb = 'text'\nc = [1, 2]", "%who", "%who int"],
    "%who_ls": "%who_ls",
    "%whos": "%whos",
    "%psearch": "%psearch a*",
    "%reset_selective": ["%reset_selective -f ^c$", "'c' in globals()"],
    "%xdel": ["%xdel b", "'b' in globals()"],
    "%reset": ["%reset -f", "'a' in globals()"],
    # Help
    "%pinfo": "%pinfo len",
    "%pinfo2": "%pinfo2 len",
    "%pdef": "def f(a, b=1):\n    '''Words.'''\n%pdef f",
    "%pdoc": "%pdoc f",
    "%psource": "%psource f",
    "%pfile": "%pfile json.loads",
    "%pycat": "%pycat ran.py",
    "%quickref": "%quickref",
    "%magic": "%magic",
    "%lsmagic": "len(str(get_ipython().run_line_magic('lsmagic', ''))) > 1000",
    "%page": "%page x",
    "%tb": ["1 / 0", "%tb"],
    "%xmode": ["%xmode Plain", "%xmode Context"],
    "%colors": "%colors nocolor",
    # The session
    "%history": "%history -l 2",
    "%hist": "%hist -l 1",
    "%recall": "%recall 1",
    "%rep": "%rep 1",
    "%rerun": ["w = 3", "%rerun -l 1"],
    "%macro": ["%macro -q again 1", "type(again)"],
    "%save": ["%save -f saved.py 1", "open('saved.py').read()[:9]"],
    "%load": "%load ran.py",
    "%loadpy": "%loadpy ran.py",
    "%edit": "%edit ran.py",
    "%ed": "%ed ran.py",
    "%notebook": "%notebook made.ipynb",
    "%logstart": ["%logstart -q log.txt", "%logstate", "%logoff", "%logon", "%logstop"],
    "%store": ["kept = [1, 2]\n%store kept", "del kept", "%store -r kept", "kept", "%store -d kept"],
    "%config": ["%config InlineBackend.figure_formats", "%config Completer.use_jedi = False"],
    "%alias": ["%alias echo_it echo it is %s", "%echo_it good", "%unalias echo_it"],
    "%alias_magic": ["%alias_magic -l clock time", "%clock v = 1", "v"],
    "%rehashx": "%rehashx",
    "%load_ext": [
        "%load_ext autoreload",
        "%autoreload 0",
        "%reload_ext autoreload",
        "%unload_ext autoreload",
    ],
    "%reload_ext": "%reload_ext autoreload",
    "%unload_ext": "%unload_ext autoreload",
    "%gui": "%gui",
    "%matplotlib": ["%matplotlib --list", "%matplotlib inline"],
    "%doctest_mode": ["%doctest_mode", "%doctest_mode"],
    "%killbgscripts": "%killbgscripts",
    "%pip": "%pip --version",
    # Folders and the environment
    "%mkdir": ["%mkdir made", "%cd made", "%pwd", "%cd -", "%rmdir made"],
    "%pushd": ["%pushd /", "%dirs", "%popd", "%dhist"],
    "%bookmark": ["%bookmark here /", "%bookmark -l", "%bookmark -d here"],
    "%env": ["%env MINE=1", "%env MINE", "%set_env MINE=2", "import os; os.environ['MINE']"],
    "%cp": ["%cp ran.py copy.py", "%mv copy.py moved.py", "%cat moved.py", "%rm moved.py"],
    "%ls": "%ls ran.py",
    "%more": "%more ran.py",
    "%less": "%less ran.py",
    "%autosave": "%autosave 60",
    # Commands
    "%sx": "%sx echo one; echo two",
    "%system": "%system echo one",
    "%sc": "%sc -l listed=echo one two",
    "!": ["!echo shell", "n = 5\n!echo {n} $n", "lines = !echo a; echo b", "lines.n", "!!echo twice"],
    "%%!": "%%!\necho one\necho two",
    "%%sx": "%%sx\necho one",
    "%%system": "%%system\necho one",
    "%%bash": ["%%bash\necho out\necho err >&2", "%%bash --out o --err e\necho out; echo err >&2", "o, e"],
    "%%sh": "%%sh\necho out",
    "%%script": ["%%script cat\nx", "%%script --no-raise-error false\n", "%%script false\n"],
    "%%python": "%%python\nprint(1 + 1)",
    "%%python3": "%%python3\nprint(1 + 1)",
    "%%perl": "%%perl\nprint 'x'",
    # Shows
    "%%html": "%%html\n<b>x</b>",
    "%%HTML": "%%HTML\n<b>x</b>",
    "%%javascript": "%%javascript\nvar x",
    "%%js": "%%js\nvar x",
    "%%latex": "%%latex\n$x$",
    "%%markdown": "%%markdown\n# x",
    "%%svg": "%%svg\n<svg/>",
    "%%SVG": "%%SVG\n<svg/>",
    "%%writefile": [
        "%%writefile written.txt\none",
        "%%writefile -a written.txt\ntwo",
        "open('written.txt').read()",
    ],
    "%%file": "%%file written.txt\none",
}
#: Magics that are tried with others above.
TRIED_ABOVE = """
%logstate %logoff %logon %logstop %unalias %cd %pwd %rmdir %popd %dirs %dhist %set_env %mv %cat %rm
"""
#: Magics that need what a test does not have, such as a network or another program.
NOT_TRIED = """
%debug %%code_wrap %conda %mamba %micromamba %uv %pastebin %subshell %qtconsole %connect_info %ldir %lf %lk
%ll %lx %man %clear %%ruby %%pypy %%python2
"""
#: How a cell compares that does something else in one of the two.
BAD = ("values", "fails only here", "fails only there", "cancelled")


#: The names of all magics, those of lines and those of cells.
NAMES = """
magics = get_ipython().magics_manager.magics
print(*sorted({f'%{name}' for name in magics['line']} | {f'%%{name}' for name in magics['cell']}))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> dict[str, list[tuple[str, Ran, Ran]]]:
    listed = {magic: [given] if isinstance(given, str) else given for magic, given in CELLS.items()}
    cells = [(magic, cell) for magic, given in listed.items() for cell in given]
    cells.insert(0, ("names", NAMES))
    sources = [cell for _, cell in cells]
    here = run_in_cellwire(sources, tmp_path_factory.mktemp("here"), 100)
    there = run_in_ipykernel(sources, tmp_path_factory.mktemp("there"), 100)
    found: dict[str, list[tuple[str, Ran, Ran]]] = {magic: [] for magic, _ in [*CELLS.items(), ("names", "")]}
    for (magic, cell), mine, its in zip(cells, here, there, strict=True):
        found[magic].append((cell, mine, its))
    return found


@pytest.mark.parametrize("magic", CELLS)
def test_a_magic_does_what_it_does_in_ipykernel(ran, magic):
    for cell, mine, its in ran[magic]:
        cause, detail = compare(mine, its)
        assert cause not in BAD, f"{cell}\n{cause}: {detail}"


def test_each_magic_that_there_is_has_been_tried(ran):
    ((_, here, there),) = ran["names"]
    ours, theirs = (set(run.outputs[0][1].split()) for run in (here, there))
    assert ours - {*CELLS, *TRIED_ABOVE.split(), *NOT_TRIED.split()} == set()
    assert theirs - ours == {"%qtconsole", "%subshell"}
