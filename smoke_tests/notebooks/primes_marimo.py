import marimo

__generated_with = "0.14.0"
app = marimo.App(width="medium")

with app.setup:
    import math


@app.function
def is_prime(n):
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


@app.cell
def _(primes):
    # Stands above the cell that it depends on, and runs after it.
    f"{len(primes)} primes, the largest is {primes[-1]}"
    return


@app.cell
def find(limit):
    primes = [n for n in range(limit) if is_prime(n)]
    return (primes,)


@app.cell
def _():
    limit = 100
    return (limit,)


@app.cell(disabled=True)
def never():
    raise RuntimeError("this cell is disabled")
    return


if __name__ == "__main__":
    app.run()
