"""A thread sets a state in the background until its cell is run again."""

# %% imports
import time

import cellwire as cw

# %% states
get_round, set_round = cw.state(1)
get_count, set_count = cw.state(0)
stopped_rounds = []

# %% counter
# Runs in the background until this cell is run again, which happens when the round changes.
current_round = get_round()


def _count_up(number):
    while not cw.current_thread().should_exit:
        set_count(lambda count: count + 1)
        time.sleep(0.02)
    stopped_rounds.append(number)


counter = cw.Thread(target=_count_up, args=(current_round,), daemon=True)
counter.start()

# %% watcher
# Runs again by itself after the run in which the count has changed.
f"the count is {'positive' if get_count() > 0 else 'zero'}"

# %% next round
# The thread counts on while this cell waits. Then the counter's cell is run again, for the second round.
if current_round == 1:
    time.sleep(0.3)
    set_round(2)
f"round {current_round}"
