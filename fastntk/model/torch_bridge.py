"""Networks to and from PyTorch modules; torch itself is imported only to build one."""

import importlib
import math
from typing import Any

import numpy as np

from fastntk.base import checks
from fastntk.base.arrays import host_array


def weights_of(module: Any) -> tuple[np.ndarray, np.ndarray]:
    """Copies of W and a of the two-layer network that `module` computes."""
    first, second = _weights(_layers(module, 1))
    a = math.sqrt(len(first)) * second[0].astype(np.float64)
    return first.copy(), a.astype(first.dtype)


def layers_of(module: Any) -> list[np.ndarray]:
    """The weights of all linear layers of `module`, at least two."""
    return _weights(_layers(module, None))


def module_of(W: np.ndarray, a: np.ndarray) -> Any:
    """``Sequential(Linear, ReLU, Linear)`` with the same outputs, on the CPU; torch's random stream is not touched."""
    return module_of_layers([W, (a.astype(np.float64) / math.sqrt(len(W))).astype(W.dtype)[np.newaxis]])


def module_of_layers(weights: list[np.ndarray]) -> Any:
    """``Sequential(Linear, ReLU, ..., Linear)`` with these weights."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        raise ImportError("to_torch needs PyTorch, which is not installed: pip install torch") from None
    parts = []
    for weight in weights:
        outputs, inputs = weight.shape
        layer = torch.nn.Linear(inputs, outputs, bias=False, device="meta")  # draws no initial weights
        layer.weight = torch.nn.Parameter(torch.tensor(weight))
        parts += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def _layers(module: Any, depth: int | None) -> list[Any]:
    """The layers of `module`, known by their class names so that torch stays out; of this depth, or of any."""
    if not callable(getattr(module, "children", None)):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    layers = list(module.children())
    hidden = max(1, (len(layers) - 1) // 2) if depth is None else depth
    form = ("Linear", "ReLU") * hidden + ("Linear",)
    if len(layers) != len(form) or not all(map(_is, layers, form)):
        found = ", ".join(type(layer).__name__ for layer in layers) or "none"
        wanted = ", ".join(form) if depth == 1 else "Linear, ReLU, ..., Linear"
        raise ValueError(f"module must have the layers {wanted}, got {found}")
    return layers


def _weights(layers: list[Any]) -> list[np.ndarray]:
    """The weights of every other layer, which fit together, in host memory."""
    places = range(0, len(layers), 2)
    for place in places:
        if getattr(layers[place], "bias", None) is not None:
            raise ValueError(
                f"module must have no biases, got one in layer {place}: build it with bias=False"
            )
    weights = [_weight(layers[place], f"the weight of layer {place} of module") for place in places]
    if len(weights[-1]) != 1:
        raise ValueError(f"module must have one output, got {len(weights[-1])}")
    for place, below, weight in zip(places, weights, weights[1:], strict=False):
        if weight.shape[1] != len(below):
            raise ValueError(
                f"module must have layers that fit, got {len(below)} outputs of layer {place} and "
                f"{weight.shape[1]} inputs of layer {place + 2}"
            )
        if below.dtype != weight.dtype:
            raise ValueError(f"module must have weights of one dtype, got {below.dtype} and {weight.dtype}")
    return weights


def _is(layer: Any, name: str) -> bool:
    """Whether `layer` is of a class called `name` or derived from one."""
    return any(kind.__name__ == name for kind in type(layer).__mro__)


def _weight(layer: Any, name: str) -> np.ndarray:
    """The weight of a layer in host memory."""
    found = host_array(layer.weight.detach().cpu(), name, 2)
    if found.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"{name} must be float32 or float64, got {found.dtype}: convert it with module.float()"
        )
    return checks.matrix(found, name)
