"""Threads write to the output of the cell that started them, at the same time."""

# %% imports
import threading
import time

import cellwire as cw

# %% three threads append
def _append(letter):
    for number in range(5):
        cw.output.append(f"{letter}{number}")
        time.sleep(0.05)


_threads = [cw.Thread(target=_append, args=(letter,)) for letter in "abc"]
for _thread in _threads:
    _thread.start()
for _thread in _threads:
    _thread.join()

# %% three threads replace their own items
def _count(letter):
    handle = cw.output.append(f"{letter}: starts")
    for number in range(1, 11):
        handle.replace(f"{letter}: {number} of 10")
        time.sleep(0.02)


_threads = [threading.Thread(target=_count, args=(letter,)) for letter in "abc"]
for _thread in _threads:
    _thread.start()
for _thread in _threads:
    _thread.join()

# %% three threads replace everything
# Each replaces everything, so one item is left, from the thread that was last.
def _replace(letter):
    for number in range(10):
        cw.output.replace(f"{letter}{number}")
        time.sleep(0.01)


_threads = [threading.Thread(target=_replace, args=(letter,)) for letter in "abc"]
for _thread in _threads:
    _thread.start()
for _thread in _threads:
    _thread.join()

# %% the next cell
# Nothing of the threads above ends up here.
"only this"
