"""Progress bars and spinners."""

# %% imports
import asyncio
import time

import cellwire as cw

# %% over an iterable
_squares = []
for _number in cw.progress_bar(range(20), title="Squares", completion_title="All squares"):
    time.sleep(0.02)
    _squares.append(_number**2)
sum(_squares)

# %% with a total
with cw.progress_bar(5, title="Stages", show_rate=True, show_eta=True) as _bar:
    for _stage in ("read", "clean", "join", "fit", "write"):
        time.sleep(0.1)
        _bar.update(subtitle=_stage)

# %% a generator with a known total
sum(cw.progress_bar((n for n in range(10)), total=10, title="Generated"))

# %% a spinner
with cw.spinner("Thinking", subtitle="for a while") as _spinner:
    time.sleep(0.2)
    _spinner.update(subtitle="nearly there")
    time.sleep(0.2)

# %% removed when it is done
for _ in cw.progress_bar(range(10), title="Passing", remove_on_exit=True):
    time.sleep(0.01)
"nothing is left of it"

# %% while awaiting
with cw.progress_bar(10, title="Awaited") as _bar:
    for _ in range(10):
        await asyncio.sleep(0.02)
        _bar.update()
