# A hundred years of the Nile: a real file, read by a real library, and a figure. The source of the data is
# in data/README.md.

# %% imports
from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("agg")
import matplotlib.pyplot as plt

import cellwire as cw

# %% read
nile = pd.read_csv(Path("data") / "nile.csv", index_col="year")
nile.describe()

# %% the dam
# A dam was built in 1902; the flow before and after it.
dam = 1902
before, after = nile.volume.loc[: dam - 1].mean(), nile.volume.loc[dam:].mean()
cw.md(f"Mean flow **{before:.0f}** until {dam} and **{after:.0f}** from then on.")

# %% figure
_figure, _axes = plt.subplots(figsize=(8, 3))
_axes.plot(nile.index, nile.volume, color="tab:blue", linewidth=1)
_axes.hlines(before, nile.index[0], dam, color="tab:red")
_axes.hlines(after, dam, nile.index[-1], color="tab:red")
_axes.set(title="Annual flow of the Nile at Aswan", ylabel="10⁸ m³")
_figure

# %% decades
decades = nile.groupby(nile.index // 10 * 10).volume.agg(["mean", "min", "max"]).round()
decades
