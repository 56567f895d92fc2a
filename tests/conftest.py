"""A time limit for every test, and the event loop that asynchronous tests run on."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from support.waiting import TIME_LIMIT

#: The same of a test that is marked `soak`.
SOAK_LIMIT = 3600

# A drawn example may take as long as it does: the time limit is that of the whole test.
settings.register_profile("cellwire", deadline=None)
settings.load_profile("cellwire")


@pytest.fixture(autouse=True)
def time_limit(request: pytest.FixtureRequest) -> Iterator[None]:
    """End a test that hangs, as a failure with a stack; a test that sets an alarm of its own has that one."""

    def over(number: int, frame: object) -> None:
        raise TimeoutError("the test has taken too long")

    before = signal.signal(signal.SIGALRM, over)
    limit = SOAK_LIMIT if request.node.get_closest_marker("soak") else TIME_LIMIT
    # Again and again, since what is left after the test may hang too.
    signal.setitimer(signal.ITIMER_REAL, limit, 15)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The event loop of asynchronous tests; tests of the client's own code ask for trio as well."""
    return "asyncio"
