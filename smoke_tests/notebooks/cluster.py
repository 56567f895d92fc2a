# Cells on a cluster of this machine: `on="client"` says where, and the rest is as ever.

# %% imports
import math

import cellwire as cw

# %% cluster
from distributed import Client, LocalCluster

_cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
client = Client(_cluster)
cw.on_retire(_cluster.close)
cw.on_retire(client.close)

# %% low on="client"
print("counting below 20,000")
low = sum(1 for n in range(2, 20_000) if all(n % d for d in range(2, math.isqrt(n) + 1)))

# %% high on="client"
print("counting the rest")
high = sum(1 for n in range(20_000, 40_000) if all(n % d for d in range(2, math.isqrt(n) + 1)))

# %% both on="client"
both = low + high
both

# %% here
cw.md(f"There are **{both}** primes below 40,000.")
