"""The parts of a run as named arrays, which is what its file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fastntk.results.diagnostics import Diagnostics

if TYPE_CHECKING:
    from fastntk.model.deep import DeepReLU
    from fastntk.model.network import TwoLayerReLU

Arrays = Mapping[str, NDArray[Any]]


def network_arrays(net: TwoLayerReLU | DeepReLU | None) -> dict[str, NDArray[Any]]:
    """Those of a network, of whatever kind."""
    from fastntk.model import deep, streamed

    if net is None:
        return {}
    if isinstance(net, deep.DeepReLU):
        return {f"W/{h}": W for h, W in enumerate(net.W, 1)} | {"a": net.a}
    return streamed.network_arrays(net)


def network_from(arrays: Arrays, scale: float) -> TwoLayerReLU | DeepReLU | None:
    """Inverse of `network_arrays`; the scale is that of several layers."""
    from fastntk.model import deep, streamed

    if several := inside("W", arrays):
        return deep.DeepReLU([several[h] for h in sorted(several, key=int)], arrays["a"], scale)
    return streamed.network_from(arrays) if "a" in arrays or "network/active" in arrays else None


def diagnostics_by_folder(seen: Diagnostics | tuple[Diagnostics, ...] | None) -> dict[str, Diagnostics]:
    """By their folder in a file: "" with one hidden layer, with several "1/", "2/" and so on."""
    if isinstance(seen, tuple):
        return {f"{h}/": one for h, one in enumerate(seen, 1)}
    return {} if seen is None else {"": seen}


def diagnostics_from(arrays: Arrays) -> Diagnostics | tuple[Diagnostics, ...] | None:
    """Of one hidden layer, or of each of several, from the arrays of all folders."""
    if not arrays or "steps" in arrays:
        return Diagnostics.from_arrays(arrays) if arrays else None
    layers = sorted({int(name.split("/")[0]) for name in arrays})
    return tuple(Diagnostics.from_arrays(inside(str(h), arrays)) for h in layers)


def inside(folder: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with that of a folder, under the rest of their names."""
    start = f"{folder}/"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
