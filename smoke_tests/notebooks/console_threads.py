"""What threads print belongs to the cell that started them; it can be shown as output or captured."""

# %% imports
import sys
import threading
import time

import cellwire as cw

# %% plain threads print
def _say(name):
    for number in range(3):
        print(f"{name} {number}")
        time.sleep(0.02)


_threads = [threading.Thread(target=_say, args=(name,)) for name in ("left", "right")]
for _thread in _threads:
    _thread.start()
for _thread in _threads:
    _thread.join()

# %% redirected
# In the output area, from the cell itself, a plain thread and a cw.Thread.
with cw.redirect_stdout():
    print("from the cell")
    for _kind in (threading.Thread, cw.Thread):
        _thread = _kind(target=print, args=(f"from a {_kind.__module__.split('.')[0]} thread",))
        _thread.start()
        _thread.join()
print("on the console again")

# %% redirected inside of threads
def _redirected(name):
    with cw.redirect_stdout():
        print(f"{name} prints to the output area")
    print(f"{name} prints to the console")


for _name, _kind in {"plain": threading.Thread, "own": cw.Thread}.items():
    _thread = _kind(target=_redirected, args=(_name,))
    _thread.start()
    _thread.join()

# %% captured
with cw.capture_stdout() as _out, cw.capture_stderr() as _err:
    print("caught")
    print("caught as well", file=sys.stderr)
(_out.getvalue(), _err.getvalue())

# %% both streams
print("to standard output")
print("to standard error", file=sys.stderr)
