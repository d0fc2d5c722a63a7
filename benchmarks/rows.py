"""From a case and a size to a row of the report: prepare, check, time, relate to the limits."""

import gc
import statistics
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.case import OURS, Case, Measure, Side, Size
from benchmarks.limits import Limit
from benchmarks.timing import STATES, Effort, compare

Row = dict[str, Any]


def row(
    case: Case, size: Size, limits: Mapping[str, Limit], plan: Effort, only: tuple[str, ...] | None = None
) -> Row:
    """Measure one case at one size; a wrong answer makes a row without times and with an "error".

    ``only`` restricts the baselines (those that the case does not have are ignored).
    """
    began = time.perf_counter()
    result: Row = {
        "case": case.name,
        "size": {"n": size.n, "d": size.d, "m": size.m, "dtype": size.dtype},
        "label": str(size),
    }
    try:
        work = case.prepare(size)
        work.check()
    except AssertionError as error:
        result["error"] = f"wrong answer: {error}"
        return result
    except MemoryError as error:
        result["error"] = f"not enough memory: {error}"
        return result
    sides = {name: side for name, side in work.sides.items() if only is None or name in (OURS, *only)}
    result |= _times(case, size, sides, plan)
    result["measures"] = [_share(measure, result["seconds"][OURS], limits) for measure in work.measures]
    del work, sides
    gc.collect()
    result["took"] = time.perf_counter() - began
    return result


def _times(case: Case, size: Size, sides: Mapping[str, Side], plan: Effort) -> Row:
    """Seconds of each side, and ratios with the floors they are held against, in the state less favourable to us."""
    timed = compare(sides, plan)
    state = timed.slower_state()
    seconds: Row = {}
    ratios: Row = {}
    for name in sides:
        values = timed.seconds[state][name]
        seconds[name] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
        seconds[name] |= {"calls": timed.calls[name], "state": state}
        seconds[name] |= {"rounds": {each: timed.seconds[each][name] for each in STATES}}
        if name != OURS:
            worse = timed.worse_state(name)
            median, smallest, largest = timed.ratio(name, worse)
            ratios[name] = {"median": median, "min": smallest, "max": largest, "state": worse}
            ratios[name] |= {"medians": {each: timed.ratio(name, each)[0] for each in STATES}}
            if (size, name) in case.floors:
                ratios[name]["floor"] = case.floors[size, name]
    return {"rounds": timed.rounds, "seconds": seconds, "ratios": ratios}


def _share(measure: Measure, ours: Row, limits: Mapping[str, Limit]) -> Row:
    """Rate of our side and its share of the machine's limit, and the shares in both states."""
    limit = limits[measure.limit]
    rate = 1e-9 * measure.amount / ours["median"]
    medians = {state: statistics.median(values) for state, values in ours["rounds"].items()}
    return {
        "formula": measure.formula,
        "rate": rate,
        "unit": limit.unit,
        "limit": measure.limit,
        "share": rate / limit.rate,
        "shares": {state: 1e-9 * measure.amount / took / limit.rate for state, took in medians.items()},
    }
