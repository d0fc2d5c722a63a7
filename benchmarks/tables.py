"""The report as Markdown, from the measured figures alone."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.case import BLAS, DUAL, NUMPY, OURS, PLAIN, PRODUCT, TORCH
from benchmarks.cases import CASES

BASELINES = (NUMPY, BLAS, TORCH, PRODUCT, PLAIN, DUAL)
HEADINGS = {
    NUMPY: "reference",
    BLAS: "strong NumPy",
    TORCH: "torch",
    PRODUCT: "product alone",
    PLAIN: "plain step",
    DUAL: "dual engine",
}


def table(headings: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table, first column left, the others right."""
    headings = list(headings)
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [headings, rule, *map(list, lines)])


def seconds(value: float) -> str:
    """A duration in the unit that suits it, three digits."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value < 1000 * scale else f"{value / scale:.0f} {unit}"
    return f"{value / 1e-6:.3g} µs"


def factor(value: float) -> str:
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def band(ratio: Mapping[str, float]) -> str:
    """Median ratio with the smallest and largest of all rounds, and their state; then that of the other state."""
    published = f"{factor(ratio['median'])}x ({factor(ratio['min'])}–{factor(ratio['max'])})"
    if "state" not in ratio:
        return published
    others = [
        f", {factor(value)}x {name[0]}" for name, value in ratio["medians"].items() if name != ratio["state"]
    ]
    return f"{published} {ratio['state'][0]}{''.join(others)}"


def own_time(row: Mapping[str, Any]) -> str:
    """Our time in the state in which it is the longer one, and in the other."""
    ours = row["seconds"][OURS]
    others = [
        f", {seconds(statistics.median(values))} {name[0]}"
        for name, values in ours["rounds"].items()
        if name != ours["state"]
    ]
    return f"{seconds(ours['median'])} {ours['state'][0]}{''.join(others)}"


def verdict(row: Mapping[str, Any]) -> str:
    """Required ratios and whether they are reached."""
    parts = []
    for name, ratio in row["ratios"].items():
        if "floor" in ratio:
            reached = "reached" if ratio["median"] >= ratio["floor"] else "missed"
            parts.append(f"{factor(ratio['floor'])}x {HEADINGS[name]}: {reached}")
    return ", ".join(parts)


def _rate(row: Mapping[str, Any]) -> str:
    first = row["measures"][0]
    return f"{first['rate']:.3g} {first['unit']}"


def _shares(row: Mapping[str, Any]) -> str:
    state = row["seconds"][OURS]["state"]
    parts = []
    for measure in row["measures"]:
        others = [
            f", {100 * part:.0f} % {name[0]}" for name, part in measure["shares"].items() if name != state
        ]
        parts.append(f"{measure['limit']} {100 * measure['share']:.0f} % {state[0]}{''.join(others)}")
    return "; ".join(parts)


def _present(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Baselines that were measured at all."""
    rows = list(rows)
    return [name for name in BASELINES if any(name in row.get("ratios", {}) for row in rows)]


def comparisons(rows: list[Mapping[str, Any]]) -> str:
    """One line a case and size."""
    names = _present(rows)
    lines = []
    for row in rows:
        start = [row["case"], row["label"]]
        if "error" in row:
            lines.append([*start, row["error"], *[""] * (len(names) + 3)])
            continue
        ratios = [band(row["ratios"][name]) if name in row["ratios"] else "–" for name in names]
        lines.append([*start, own_time(row), *ratios, _rate(row), _shares(row), verdict(row)])
    headings = ["work", "size", "fastntk", *(f"faster than {HEADINGS[name]}" for name in names)]
    return table([*headings, "rate", "share of the limit", "required"], lines)


def meanings() -> str:
    """What each line measures, and against what."""
    lines = []
    for case in CASES:
        lines.append(f"- **{case.name}**: {case.what}.")
        lines += [f"  - {HEADINGS[name]}: {text}" for name, text in case.against.items()]
    return "\n".join(lines)


def formulas(rows: list[Mapping[str, Any]]) -> str:
    """How the work of each case is counted."""
    known = {
        (row["case"], measure["formula"], measure["limit"]): None
        for row in rows
        for measure in row.get("measures", [])
    }
    return "\n".join(f"- {case}: {formula}, against {limit}" for case, formula, limit in known)


def limits(values: Mapping[str, Mapping[str, Any]]) -> str:
    return table(
        ["limit", "rate", "measured with"],
        [[name, f"{value['rate']:.4g} {value['unit']}", value["what"]] for name, value in values.items()],
    )


def growth(part: Mapping[str, Any]) -> str:
    """One case over n or m."""
    variable, baseline = part["variable"], part["baseline"]
    lines = []
    for row in part["rows"]:
        value = str(row["size"][variable])
        if "error" in row:
            lines.append([value, row["error"], "", "", "", ""])
            continue
        measured = row["seconds"]
        lines.append(
            [
                value,
                seconds(measured[OURS]["median"]),
                seconds(measured[baseline]["median"]) if baseline in measured else "–",
                band(row["ratios"][baseline]) if baseline in measured else "–",
                _rate(row),
                _shares(row),
            ]
        )
    text = table([variable, "fastntk", HEADINGS[baseline], "faster", "rate", "share of the limit"], lines)
    slopes = "; ".join(
        f"{OURS if side == OURS else HEADINGS[side]} {variable}^{_slope(fit['all'])} over all sizes, "
        f"{variable}^{_slope(fit['largest'])} over the largest three"
        for side, fit in part["exponents"].items()
    )
    return f"### {part['case']} in {variable} ({part['fixed']})\n\n{text}\n\nFitted: {slopes}.\n"


def _slope(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def first_calls(rows: Iterable[Mapping[str, Any]]) -> str:
    lines = [
        [row["family"], seconds(row["empty"]), seconds(row["filled"]), seconds(row["second"])] for row in rows
    ]
    headings = ["first call of", "empty cache (compiles)", "filled cache", "second call"]
    return table(headings, lines)


def job(result: Mapping[str, Any]) -> str:
    """The whole job: one line a width and the total."""
    lines = [
        [f"width {row['width']}", seconds(row[OURS]), seconds(row[NUMPY]), f"{factor(row['ratio'])}x"]
        for row in result["widths"]
    ]
    if "error" in result:
        return f"{result['error']}\n"
    lines.append(
        ["all widths", seconds(result[OURS]), seconds(result[NUMPY]), f"**{factor(result['ratio'])}x**"]
    )
    floor = result["floor"]
    if floor:
        reached = "reached" if result["ratio"] >= floor else "missed"
        lines.append(["required", "", "", f"{factor(floor)}x: {reached}"])
    return table(["run", "fastntk", "reference", "faster"], lines)


def job_note(result: Mapping[str, Any]) -> str:
    """What was measured and what was computed from it."""
    text = f"n = {result['n']}, d = {result['d']}, {result['steps']} steps, every metric at every step."
    if result["numpy_steps"] < result["steps"]:
        text += (
            f" The reference was measured over {result['numpy_steps']} steps and scaled: T(0) + "
            f"{result['steps']}/{result['numpy_steps']} (T({result['numpy_steps']}) - T(0)), so what happens once is "
            "not multiplied. fastntk was measured in full."
        )
    return text


def large(rows: Iterable[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        start = [f"m={row['width']}", str(row["steps"])]
        if "error" in row:
            lines.append([*start, row["error"], "", "", ""])
            continue
        fits = "reached" if row["peak_gib"] < row["most_gib"] else "missed"
        peak = f"{row['peak_gib']:.2f} GiB"
        lines.append(
            [*start, row["engine"], seconds(row["seconds"]), peak, f"< {row['most_gib']:g} GiB: {fits}"]
        )
    return table(["width", "steps", "engine", "time", "peak resident memory", "required"], lines)


def gpu(report: Mapping[str, Any]) -> str:
    """What was measured on a GPU, where its JSON says so: device, tests, one line a side."""
    found, tests = report["device"], report["tests"]
    lines = []
    for row in report["rows"]:
        start = [row["case"], row["label"]]
        if "error" in row:
            lines.append([*start, row["error"], "", "", "", ""])
            continue
        shares = {
            side: ", ".join(f"{100 * share:.3g} % {limit}" for limit, share in of.items()) or "–"
            for side, of in row["shares"].items()
        }
        lines.append([*start, OURS, seconds(row["seconds"][OURS]), "", shares[OURS], ""])
        for side, ratio in row["ratios"].items():
            floor = ratio.get("floor")
            reached = "reached" if floor and ratio["median"] >= floor else "missed"
            required = f"{factor(floor)}x: {reached}" if floor else ""
            lines.append(["", "", side, seconds(row["seconds"][side]), band(ratio), shares[side], required])
        lines += [["", "", side, why, "", "", ""] for side, why in row.get("failed", {}).items()]
    libraries = ", ".join(f"{name} {version}" for name, version in report["libraries"].items())
    head = [
        f"- device: {found['name']}, compute capability {found['capability']}, {found['package']}",
        f"- tests: {tests['line'] if tests else 'not run'}",
        f"- beside it: {libraries or 'no other library'}",
        f"- made: {report['environment']['created']}, {report['mode']} mode",
    ]
    if report["left_out"]:
        head.append(f"- did not fit the minutes: {', '.join(report['left_out'])}")
    head += [
        f"- limit of {name}: {limit['rate']:.4g} {limit['unit']}{', measured' if limit.get('measured') else ''}"
        for name, limit in report["limits"].items()
    ]
    headings = ["work", "size", "side", "time", "fastntk is faster", "share of the limit", "required"]
    counted = [f"- {row['case']}: {row['formula']}" for row in report["rows"] if "formula" in row]
    parts = [
        "\n".join(head),
        table(headings, lines),
        "How work is counted:",
        "\n".join(counted),
        'A side "with transfers" starts from arrays of the host and ends with its result there. Limits that are not '
        "measured follow from clock rates, without matrix units; above 100 % these did the work, or it was avoided.",
    ]
    return "\n\n".join(parts)
