"""A client for an address, as `cellwire run --engine` gives it."""

import os
import sys
from typing import Any

from ...api.elsewhere import on_retire
from ..place import CannotSend, PlaceError

_CERTIFICATES = ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")
_FORMS = "give dask://HOST:PORT or tls://HOST:PORT of a running scheduler, or local:4 for workers here"


def connect(address: str) -> Any:
    """Return a client of the cluster at `address`; it closes when the calling cell runs again or is deleted.

    `dask://host:port` and `tls://host:port` name a scheduler; `local:4` starts four workers on this machine,
    `local` one for each processor. With `tls` Dask's configuration names the certificates.

    Raises: CannotSend if there is no such cluster.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise CannotSend(
            f"{address} needs Dask, and {sys.executable}, which runs the notebook, has no {error.name!r}",
            "pip install 'cellwire[dask]' there, or name another interpreter with --python",
        ) from None
    try:
        return _connect(address, distributed)
    except PlaceError:
        raise
    except Exception as error:
        raise CannotSend(f"there is no cluster at {address}: {error}", _FORMS) from None


def _connect(address: str, dask: Any) -> Any:
    scheme, _, rest = address.partition(":")
    if scheme == "local":
        if not (rest or "1").isdecimal() or rest == "0":
            raise CannotSend(f"{address} names no number of workers", _FORMS)
        workers = int(rest) if rest else os.cpu_count() or 1
        cluster = dask.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        on_retire(cluster.close)
        client = dask.Client(cluster)
    else:
        if scheme == "tls" and dask.Security().get_connection_args("client")["ssl_context"] is None:
            raise CannotSend(
                f"{address} wants certificates, and Dask knows none",
                "give it distributed.comm.tls.ca-file, .client.cert and .client.key in its configuration, or "
                + ", ".join(f"DASK_DISTRIBUTED__COMM__TLS__{name}" for name in _CERTIFICATES),
            )
        client = dask.Client(f"tcp:{rest}" if scheme == "dask" else address)
    on_retire(client.close)
    return client
