"""A progress bar that several threads move while the main thread waits for them."""

# %% imports
import threading
import time

import cellwire as cw

# %% moved by four threads
with cw.progress_bar(80, title="Fetching", completion_title="Fetched") as _bar:

    def _work(name):
        for _ in range(20):
            time.sleep(0.02)
            _bar.update(subtitle=f"by {name}")

    _threads = [threading.Thread(target=_work, args=(name,)) for name in ("north", "east", "south", "west")]
    for _thread in _threads:
        _thread.start()
    for _thread in _threads:
        _thread.join()

# %% one for each thread
def _own(name, steps):
    with cw.progress_bar(steps, title=name) as bar:
        for _ in range(steps):
            time.sleep(0.01)
            bar.update()


_threads = [threading.Thread(target=_own, args=(name, steps)) for name, steps in {"red": 20, "blue": 40}.items()]
for _thread in _threads:
    _thread.start()
for _thread in _threads:
    _thread.join()
"both done"
