"""Runs the scenarios of a program against one broker and says how each went.

A program marks its scenarios with `@scenario` and calls `main`. Each scenario gets a `World`, makes its own topics and
groups, and depends on no other, so several run at a time. One that hangs is a failed one: the others still tell their
result. Knows nothing of any client.
"""

import argparse
import os
import queue
import sys
import threading
import time
import traceback

_SCENARIOS = []

#: How long one scenario may take; a guard against hanging, not a measure.
LIMIT = 90


class World:
    """Where the broker is, and names that nobody else uses."""

    def __init__(self, bootstrap, prefix, scenario_name, options=None):
        self.bootstrap = bootstrap
        #: What the program was told beside: see `main`.
        self.options = options
        self.prefix = f"{prefix}-{scenario_name.replace('_', '-')}"

    def name(self, what="t"):
        """A topic, a group or a transactional id of this scenario."""
        return f"{self.prefix}.{what}"


def scenario(function):
    """Marks a function of one argument, a World, as a scenario. It raises when the broker does something else."""
    _SCENARIOS.append(function)
    return function


def expect(actual, expected, what):
    """Fails unless the two are equal."""
    if actual != expected:
        raise AssertionError(f"{what}: {actual!r}, expected {expected!r}")


def wait_for(what, condition, limit=30.0):
    """Polls until `condition` returns something true, which is returned."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit} s")
        time.sleep(0.05)


def _worker(todo, results, world_of):
    while True:
        try:
            function = todo.get_nowait()
        except queue.Empty:
            return
        results.put((function.__name__, "began", None))
        try:
            function(world_of(function.__name__))
            results.put((function.__name__, "ok", None))
        except BaseException as error:  # pylint: disable=broad-except
            lines = traceback.extract_tb(error.__traceback__)
            where = next((l for l in reversed(lines) if os.path.dirname(__file__) in l.filename), lines[-1])
            why = f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})"
            why = " ".join(why.split())
            results.put((function.__name__, "FAILED", why if len(why) < 600 else f"{why[:400]} … {why[-200:]}"))


def main(description, jobs=4, options=()):
    """Runs all scenarios, or those that `--only` names, prints a line for each, and ends the process.

    `options` are pairs of a flag and its help: more of what the program must be told.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("bootstrap", help="host:port of the broker")
    parser.add_argument("prefix", help="begins every topic, group and transactional id")
    parser.add_argument("--only", action="append", metavar="NAME", help="run this scenario; may be repeated")
    parser.add_argument("--jobs", type=int, default=jobs, help="scenarios at a time")
    for flag, text in options:
        parser.add_argument(flag, required=True, help=text)
    args = parser.parse_args()
    chosen = [f for f in _SCENARIOS if not args.only or f.__name__ in args.only]
    if not chosen:
        parser.error("no such scenario; there are " + ", ".join(f.__name__ for f in _SCENARIOS))
    todo, results = queue.Queue(), queue.Queue()
    for function in chosen:
        todo.put(function)
    for _ in range(min(args.jobs, len(chosen))):
        world_of = lambda name: World(args.bootstrap, args.prefix, name, args)
        threading.Thread(target=_worker, args=(todo, results, world_of), daemon=True).start()
    failed, pending, running = 0, {f.__name__ for f in chosen}, {}
    while pending:
        try:
            name, outcome, why = results.get(timeout=1)
        except queue.Empty:
            overdue = [n for n, begun in running.items() if time.monotonic() - begun > LIMIT]
            for name in overdue:
                results.put((name, "FAILED", f"has not ended after {LIMIT} s"))
            continue
        if outcome == "began":
            running[name] = time.monotonic()
            continue
        if name not in pending:
            continue
        took = time.monotonic() - running.pop(name)
        pending.discard(name)
        failed += outcome != "ok"
        print(f"ok {name}" if outcome == "ok" else f"FAILED {name}: {why}", flush=True)
        if os.environ.get("SCENARIO_TIMES"):
            print(f"   {took:.1f} s", file=sys.stderr, flush=True)
    sys.stdout.flush()
    # A client that hangs must not keep the process.
    os._exit(1 if failed else 0)
