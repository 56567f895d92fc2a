"""The magics that come with IPython, by what they do with names; listed here, so that IPython need not load.

A line magic that is not listed reads `{expression}` and `$name`. A cell magic that is not listed may bind any
name.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Names of line magics, which may be written without `%` where the name has no other meaning.
LINE_MAGICS = _words("""
    alias alias_magic autoawait autocall automagic autosave bookmark cat cd clear code_wrap colors conda
    config connect_info cp debug dhist dirs doctest_mode ed edit env gui hist history killbgscripts ldir less
    lf lk ll load load_ext loadpy logoff logon logstart logstate logstop ls lsmagic lx macro magic mamba man
    matplotlib micromamba mkdir more mv notebook page pastebin pdb pdef pdoc pfile pinfo pinfo2 pip popd
    pprint precision prun psearch psource pushd pwd pycat pylab qtconsole quickref recall rehashx reload_ext
    rep rerun reset reset_selective rm rmdir run save sc set_env store subshell sx system tb time timeit
    unalias unload_ext uv who who_ls whos xdel xmode
""")
#: Magics that run their argument, and as cell magics their body, as code of the cell: with the options that
#: take a value.
CODE: dict[str, str] = {
    "debug": "b",
    "lprun": "fmDTsu",
    "memit": "rtio",
    "mprun": "fT",
    "prun": "DlsT",
    "time": "",
    "timeit": "nrtpv",
}
#: Those of them that run it in a function, so that what it binds is gone afterwards.
IN_FUNCTION = frozenset({"timeit"})
#: Options of theirs whose value is an expression.
EVALUATED = "f"
#: Cell magics whose body is not Python, is run elsewhere, or is not run.
FOREIGN = _words("""
    ! HTML SVG bash cmd file html javascript js latex markdown perl pypy python python2 python3 ruby script sh
    svg sx system writefile
""")
#: Magics after which any name may have another value.
OPEN = _words("""
    R cython ed edit julia load loadpy macro pylab recall rep rerun reset reset_selective run sql store xdel
""")
#: Magics that take their argument as text and read no name in it.
TEXT = _words("code_wrap macro pdef pdoc pfile pinfo pinfo2 psearch psource")
#: Lines that only set up what cells have in cellwire anyway.
SET_UP = (
    r"(?P<indent>\s*)(?P<magic>%\s*(?:matplotlib(?:\s+(?:inline|agg|widget|notebook|ipympl))?"
    r"|(?:re)?load_ext\s+autoreload|autoreload\b.*|aimport\b.*|config\s+(?:InlineBackend|(?:IP)?Completer)\..*"
    r"|autosave\b.*|autocall\b.*|automagic\b.*|colors\b.*|xmode\b.*|pdb\s+off|precision\s*)\s*(?:#.*)?)"
)
