"""A client for an address, as `cellwire run --engine` gives it."""

import os
from typing import Any

import distributed

from ...api.elsewhere import on_retire

_dask: Any = distributed


def connect(address: str) -> Any:
    """Return a client of the cluster at `address`; it closes when the calling cell runs again or is deleted.

    `dask://host:port` and `tls://host:port` name a scheduler; `local:4` starts four workers on this machine,
    `local` one for each processor.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "local":
        workers = int(rest) if rest else os.cpu_count() or 1
        cluster = _dask.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        on_retire(cluster.close)
        client = _dask.Client(cluster)
    else:
        client = _dask.Client(f"tcp:{rest}" if scheme == "dask" else address)
    on_retire(client.close)
    return client
