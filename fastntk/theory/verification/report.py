"""The report as one HTML file that needs no other, and as JSON with every number."""

from __future__ import annotations

import base64
import html
import math
from typing import Any

__all__ = ["page", "plain"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.2rem; border-top: 1px solid #ddd; padding-top: 1.2rem; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin: .6rem 0; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #e4e4e4; }
th { background: #f6f6f6; } td.text, th.text { text-align: left; } .scroll { max-height: 22rem; overflow: auto; }
.verdict { padding: .1rem .5rem; border-radius: .7rem; color: #fff; white-space: nowrap; font-size: 12px; }
.holds { background: #2a7d4f; } .fails { background: #b3261e; } .no { background: #6b6b6b; }
figure { margin: 1rem 0; } figcaption { font-size: 13px; color: #444; } img { max-width: 100%; }
blockquote { margin: .5rem 0; padding: .2rem 1rem; border-left: 3px solid #bbb; background: #fafafa; }
"""


def plain(value: Any) -> Any:
    """The same record with numbers that JSON does not know (infinity, NaN) as None."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def page(record: dict[str, Any], images: dict[str, tuple[str, bytes]]) -> str:
    """HTML of a record that `plain` made; images are captions and PNG bytes."""
    data = record["data"]
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>The theory, checked</title>',
        f"<style>{_STYLE}</style></head><body>\n<h1>Two-layer ReLU networks: the theory, checked</h1>",
        "<p>The statements of Du, Zhai, P&oacute;czos and Singh, <i>Gradient descent provably optimizes "
        "over-parameterized neural networks</i> (arXiv 1810.02054), measured on "
        f"n = {data['n']} samples in dimension d = {data['d']}, widths {_list(record['settings']['widths'])}, "
        f"seeds {_list(record['settings']['seeds'])}, delta = {data['delta']:g}. "
        f"lambda_0 = {_number(data['lambda_0'])}, lambda_max = {_number(data['lambda_max'])}.</p>",
        _summary(record["statements"]),
        "<p>Slack is the bound divided by the measured value in the worst case at the widest networks: below 1 is a "
        "violation. Widths that the theory asks for are computed with its unknown constant taken as 1.</p>",
    ]
    if record["exponents"]:
        parts += ["<h2>Power laws in the width</h2>", _table(record["exponents"])]
    parts += [_figure(caption, image) for caption, image in images.values()]
    parts += [_section(statement) for statement in record["statements"]]
    environment = record["environment"]
    parts.append(
        f"<h2>Made with</h2><p>fastntk {html.escape(str(environment['fastntk']))}, "
        f"{html.escape(str(environment['cpu']))}, {environment['threads']} threads, {record['seconds']:.1f} s, "
        f"{html.escape(str(environment['created']))}.</p></body></html>\n"
    )
    return "\n".join(parts)


def _summary(statements: list[dict[str, Any]]) -> str:
    """The verdicts in one table."""
    rows = []
    for statement in statements:
        rows.append(
            f'<tr><td class="text">{html.escape(statement["name"])}</td>'
            f'<td class="text">{_badge(statement["verdict"])}</td>'
            f"<td>{_number(statement['slack'])}</td><td>{_number(statement['width_asked'])}</td>"
            f"<td>{_number(statement['width_enough'])}</td>"
            f'<td class="text">{html.escape(statement["reason"])}</td></tr>'
        )
    head = (
        '<tr><th class="text">statement</th><th class="text">verdict</th><th>slack</th><th>width asked</th>'
    )
    head += '<th>width enough</th><th class="text">why</th></tr>'
    return f"<table>{head}{''.join(rows)}</table>"


def _section(statement: dict[str, Any]) -> str:
    """Everything about one statement."""
    parts = [f"<h2>{html.escape(statement['name'])} {_badge(statement['verdict'])}</h2>"]
    parts.append(
        f"<blockquote>{html.escape(statement['says'])}</blockquote><p>{html.escape(statement['reason'])}</p>"
    )
    if statement["conditions"]:
        items = (
            f"<li>{html.escape(item['text'])}: <b>{'met' if item['met'] else 'not met'}</b> "
            f"({html.escape(item['detail'])})</li>"
            for item in statement["conditions"]
        )
        parts.append(f"<ul>{''.join(items)}</ul>")
    parts += [f"<p>{html.escape(note)}</p>" for note in statement["notes"]]
    if statement["measured"]:
        count = len(statement["measured"])
        parts.append(f'<details><summary>{count} measurements</summary><div class="scroll">')
        parts.append(_table(statement["measured"]) + "</div></details>")
    return "\n".join(parts)


def _table(rows: list[dict[str, Any]]) -> str:
    """Tidy rows as a table; columns in order of appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th>{html.escape(column.replace('_', ' '))}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_number(row.get(key))}</td>" for key in columns) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _figure(caption: str, image: bytes) -> str:
    data = base64.b64encode(image).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _badge(verdict: str) -> str:
    kind = verdict if verdict in ("holds", "fails") else "no"
    return f'<span class="verdict {kind}">{html.escape(verdict)}</span>'


def _number(value: Any) -> str:
    """A table cell."""
    if value is None:
        return "&ndash;"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))


def _list(values: list[int]) -> str:
    return ", ".join(map(str, values))
