"""Other notebooks of this folder as parts of this one: one of marimo's, and one of Jupyter's."""

# %% imports
import cellwire as cw

# %% limit
limit = 50

# %% primes
# Runs the notebook with another limit; what it shows is shown here.
primes = cw.embed("primes_marimo.py", limit=limit)

# %% largest
f"the largest prime below {limit} is {primes['primes'][-1]}"

# %% words
# The cells of that notebook await, so this one does.
words = await cw.embed_async("words.ipynb", text="a rose is a rose is a rose")

# %% counts
words["counts"].most_common(2)

# %% again
words.output
