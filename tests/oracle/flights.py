"""What the contracts of the domain `aviation` say, a second time, in pandas: the oracle of the flights test.

Written from the contracts' text and from nothing in Weir. `verdicts(name, frame)` gives, per row that must
be held back, the ids of the rules that it breaks.
"""

import pandas

AIRPORTS_OF_NEW_YORK = ["EWR", "JFK", "LGA"]
ZONES = [
    "America/Anchorage",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/New_York",
    "America/Phoenix",
    "Pacific/Honolulu",
]


def below(column, least):
    return column.notna() & (column < least)


def above(column, most):
    return column.notna() & (column > most)


def unlike(column, pattern):
    return column.notna() & ~column.fillna("").str.contains(pattern, regex=True)


def none_of(column, values):
    return column.notna() & ~column.isin(values)


def shorter(column, least):
    return column.notna() & (column.fillna("").str.len() < least)


def longer(column, most):
    return column.notna() & (column.fillna("").str.len() > most)


def outside(frame, rules, **bounds):
    for name, (least, most) in bounds.items():
        if least is not None:
            rules[f"{name}:minimum"] = below(frame[name], least)
        if most is not None:
            rules[f"{name}:maximum"] = above(frame[name], most)


def flights(f):
    rules = {
        "carrier:pattern": unlike(f.carrier, r"^[A-Z0-9]{2}$"),
        "tailnum:pattern": unlike(f.tailnum, r"^N[0-9A-Z]{1,5}$"),
        "dest:pattern": unlike(f.dest, r"^[A-Z0-9]{3}$"),
        "origin:invalidValues": none_of(f.origin, AIRPORTS_OF_NEW_YORK),
        "another-place": f.origin == f.dest,
        "flown-has-left": f.air_time.notna() & f.dep_time.isna(),
    }
    outside(
        f,
        rules,
        year=(2013, 2013),
        month=(1, 12),
        day=(1, 31),
        dep_time=(1, 2400),
        sched_dep_time=(0, 2359),
        dep_delay=(-60, 900),
        arr_time=(1, 2400),
        sched_arr_time=(0, 2359),
        flight=(1, 9999),
        air_time=(22, 900),
        distance=(50, 6000),
        hour=(0, 23),
        minute=(0, 59),
    )
    return rules


def weather(w):
    rules = {
        "origin:invalidValues": none_of(w.origin, AIRPORTS_OF_NEW_YORK),
        "dew-below-air": w.dewp.notna() & w.temp.notna() & (w.dewp > w.temp),
    }
    outside(
        w,
        rules,
        month=(1, 12),
        day=(1, 31),
        hour=(0, 23),
        temp=(-60, 130),
        dewp=(-60, 130),
        humid=(0, 100),
        wind_dir=(0, 360),
        wind_speed=(0, 200),
        wind_gust=(0, 200),
        precip=(0, 10),
        pressure=(870, 1085),
        visib=(0.1, 10),
    )
    return rules


def planes(p):
    rules = {
        "tailnum:pattern": unlike(p.tailnum, r"^N[0-9A-Z]{1,5}$"),
        "type:invalidValues": none_of(p.type, ["Fixed wing multi engine", "Fixed wing single engine", "Rotorcraft"]),
        "engine:invalidValues": none_of(
            p.engine, ["Turbo-fan", "Turbo-jet", "Turbo-prop", "Turbo-shaft", "Reciprocating", "4 Cycle"]
        ),
        "manufacturer:minLength": shorter(p.manufacturer, 1),
        "model:minLength": shorter(p.model, 1),
        "seats-for-engines": p.seats < p.engines,
    }
    outside(p, rules, year=(1960, 2013), engines=(1, 4), seats=(4, 600), speed=(50, 700))
    return rules


def airports(a):
    rules = {
        "faa:pattern": unlike(a.faa, r"^[A-Z0-9]{3}$"),
        "name:minLength": shorter(a.name, 3),
        "name:maxLength": longer(a.name, 100),
        "dst:invalidValues": none_of(a.dst, ["A", "N", "U"]),
        "tzone:invalidValues": none_of(a.tzone, ZONES),
        "phoenix-keeps-its-clock": (a.tzone == "America/Phoenix") & (a.tz != -7),
    }
    outside(a, rules, lat=(-90, 90), lon=(-180, 180), alt=(-50, 15000), tz=(-10, -5))
    return rules


def airlines(a):
    return {
        "carrier:pattern": unlike(a.carrier, r"^[A-Z0-9]{2}$"),
        "name:minLength": shorter(a.name, 3),
        "name:maxLength": longer(a.name, 60),
    }


TABLES = {"flights": flights, "weather": weather, "planes": planes, "airports": airports, "airlines": airlines}


def read(path):
    # Some carriers and places spell "NA"; only an empty cell is null.
    return pandas.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)


def verdicts(name, frame):
    broken = pandas.DataFrame({rule: mask.astype(bool) for rule, mask in TABLES[name](frame).items()})
    held = broken[broken.any(axis=1)]
    return {row: sorted(held.columns[held.loc[row]]) for row in held.index}


if __name__ == "__main__":
    import json
    import pathlib
    import sys

    directory = pathlib.Path(sys.argv[-1])
    told = {}
    for name in TABLES:
        frame = read(directory / f"{name}.csv")
        told[name] = [len(frame), verdicts(name, frame)]
    if "--json" in sys.argv:
        json.dump(told, sys.stdout)
    else:
        for name, (rows, held) in told.items():
            print(f"{name}: {rows} rows, {len(held)} held back")
