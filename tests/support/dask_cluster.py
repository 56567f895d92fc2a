"""A cluster of two workers on this machine, with TLS, which the tests of a module share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cellwire.protocol.messages import Cell
from distributed import Client, LocalCluster
from distributed.security import Security

#: The client of the cluster that is open, for cells: `from support.dask_cluster import client`.
client: Any = None
CLIENT = Cell("client", "from support.dask_cluster import client")


@contextmanager
def cluster(**options: Any) -> Iterator[Any]:
    """Open a cluster, perhaps while another one is open, and return its client."""
    global client
    given = {
        "n_workers": 2,
        "threads_per_worker": 1,
        # Another cluster of this machine may have the usual port.
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": 60,
        **options,
    }
    if "security" not in given:
        given["security"] = Security.temporary()
    before = client
    try:
        with LocalCluster(**given) as opened, Client(opened) as client:
            yield client
    finally:
        client = before


def names(kind: str = "") -> list[str]:
    """Return the keys of cellwire that the scheduler knows."""

    def keys(dask_scheduler: Any) -> list[str]:
        return [str(key) for key in dask_scheduler.tasks]

    return sorted(key for key in client.run_on_scheduler(keys) if kind in key)
