"""A cell's output is a list, which the cell changes while it runs."""

# %% imports
import time

import cellwire as cw

# %% append
for _word in ["one", "two", "three"]:
    cw.output.append(_word)
    time.sleep(0.2)
"the last value is the next item"

# %% replace
for _step in range(1, 6):
    cw.output.replace(f"step {_step} of 5")
    time.sleep(0.1)

# %% handles
_first = cw.output.append("first")
_second = cw.output.append("second")
_third = cw.output.append("third")
time.sleep(0.2)
_second.replace("second, replaced through its handle")
_third.remove()

# %% clear
cw.output.append("gone in a moment")
time.sleep(0.2)
cw.output.clear()
cw.output.append("what came after the clearing")

# %% replace at index
cw.output.append("zero")
cw.output.append("one")
time.sleep(0.2)
cw.output.replace_at_index("one, replaced at its index", 1)
cw.output.replace_at_index("two, appended since the index is the length", 2)

# %% beyond the end
try:
    cw.output.replace_at_index("nowhere", 5)
except IndexError as error:
    cw.output.append(f"IndexError: {error}")

# %% replace with nothing
cw.output.append("gone")
cw.output.replace(None)

# %% partial results
# What a cell has shown stays when it stops.
cw.output.append("before the stop")
cw.stop(True, "stopped on purpose")
cw.output.append("never shown")
