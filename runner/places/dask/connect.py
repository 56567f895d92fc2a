"""A client for an address, as `cellwire run --engine` gives it."""

import os
from typing import Any

import distributed

from ...api.elsewhere import on_retire
from ..place import CannotSend

_dask: Any = distributed
_CERTIFICATES = ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")


def connect(address: str) -> Any:
    """Return a client of the cluster at `address`; it closes when the calling cell runs again or is deleted.

    `dask://host:port` and `tls://host:port` name a scheduler; `local:4` starts four workers on this machine,
    `local` one for each processor. With `tls` Dask's configuration names the certificates.

    Raises: CannotSend if it does not, and what Dask raises if there is no such scheduler.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "local":
        workers = int(rest) if rest else os.cpu_count() or 1
        cluster = _dask.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        on_retire(cluster.close)
        client = _dask.Client(cluster)
    else:
        if scheme == "tls" and _dask.Security().get_connection_args("client")["ssl_context"] is None:
            raise CannotSend(
                f"{address} wants certificates, and Dask knows none",
                "give it distributed.comm.tls.ca-file, .client.cert and .client.key in its configuration, or "
                + ", ".join(f"DASK_DISTRIBUTED__COMM__TLS__{name}" for name in _CERTIFICATES),
            )
        client = _dask.Client(f"tcp:{rest}" if scheme == "dask" else address)
    on_retire(client.close)
    return client
