"""`fastntk info`: what this machine offers and which engine would be taken."""

from __future__ import annotations

import click

__all__ = ["info"]

_VECTOR_FEATURES = ("avx2", "fma", "avx512f", "avx512bw", "avx512vpopcntdq", "neon", "sve")


@click.command(short_help="Versions, processor, threads, and which engine a problem would take.")
@click.option("--n", type=click.IntRange(min=1), default=1000, show_default=True, help="Samples.")
@click.option("--d", type=click.IntRange(min=1), default=1000, show_default=True, help="Dimension.")
@click.option("--width", type=click.IntRange(min=1), default=8000, show_default=True, help="Neurons.")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
def info(n: int, d: int, width: int, dtype: str) -> None:
    """Print what decides speed here, and the engine that engine="auto" takes for 100 steps with n, d and width."""
    from fastntk.device import driver
    from fastntk.engines.choice import Course, choose
    from fastntk.results import provenance
    from fastntk.training.settings import Settings

    # The engines import every kernel module, so the libraries below are loaded when they are asked.
    choice = choose(n, d, width, dtype, engine="auto", course=Course(Settings.steps))
    layer, features = _compiler()
    machine = provenance.environment()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    memory = machine["memory_bytes"]
    lines = {
        "fastntk": machine["fastntk"],
        "python": f"{machine['python']} on {machine['platform']} ({machine['machine']})",
        "libraries": versions,
        "processor": f"{machine['cpu']}, {machine['cores']} usable cores",
        "compiled for": features,
        "threads": f"{machine['threads']}, threading layer {layer}",
        "memory": f"{memory / 2**30:.1f} GiB" if memory else "unknown",
    }
    lines["cuda"] = driver.state()
    for number, pool in enumerate(machine["blas"], start=1):
        kind = f"{pool['internal_api']} {pool['version']} ({pool['architecture']})"
        lines[f"blas {number}"] = f"{kind}, {pool['num_threads']} threads"
    lines[f"engine for n={n}, d={d}, width={width}, {dtype}"] = f"{choice.name}: {choice.reason}"
    for name, text in lines.items():
        click.echo(f"{name}: {text}")


def _compiler() -> tuple[str, str]:
    """Name the threading layer, and what Numba compiles for (its environment variables may say less than the CPU)."""
    import numpy as np
    from numba.core.registry import cpu_target

    import fastntk
    from fastntk.compilation.process import threading_layer

    point = np.eye(1)
    fastntk.coactivation_counts(fastntk.activation_masks(point, point))  # the first parallel kernel decides
    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    enabled = features.split(",")
    found = [feature for feature in _VECTOR_FEATURES if f"+{feature}" in enabled]
    return threading_layer() or "not chosen yet", f"{name} ({' '.join(found) or 'baseline features only'})"
