"""A time limit for every test: a wait that goes wrong ends as a failure with a stack, whatever it is for."""

import os
import signal
from collections.abc import Iterator

import pytest

#: Seconds that a test may take, unless it is marked `soak`.
TIME_LIMIT = int(os.environ.get("CELLWIRE_TIME_LIMIT", 120))
SOAK_LIMIT = 3600


@pytest.fixture(autouse=True)
def time_limit(request: pytest.FixtureRequest) -> Iterator[None]:
    """End a test that hangs; one that sets an alarm itself has that one instead."""

    def over(number: int, frame: object) -> None:
        raise TimeoutError("the test has taken too long")

    before = signal.signal(signal.SIGALRM, over)
    limit = SOAK_LIMIT if request.node.get_closest_marker("soak") else TIME_LIMIT
    # Again and again, since what is left after the test may hang too.
    signal.setitimer(signal.ITIMER_REAL, limit, 15)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
