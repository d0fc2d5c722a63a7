"""Two-layer networks to and from PyTorch modules; torch itself is imported only to build one."""

import importlib
import math
from typing import Any

import numpy as np

from fastntk.base import checks
from fastntk.base.arrays import host_array

_FORM = ("Linear", "ReLU", "Linear")


def weights_of(module: Any) -> tuple[np.ndarray, np.ndarray]:
    """Copies of W and a of the network that `module` computes; it is known by its class names, so torch stays out."""
    layers = _layers(module)
    for place in (0, 2):
        if getattr(layers[place], "bias", None) is not None:
            raise ValueError(
                f"module must have no biases, got one in layer {place}: build it with bias=False"
            )
    first, second = (_weight(layers[place], f"the weight of layer {place} of module") for place in (0, 2))
    if len(second) != 1:
        raise ValueError(f"module must have one output, got {len(second)}")
    if second.shape[1] != len(first):
        raise ValueError(
            f"module must have layers that fit, got {len(first)} outputs of layer 0 and "
            f"{second.shape[1]} inputs of layer 2"
        )
    if first.dtype != second.dtype:
        raise ValueError(f"module must have weights of one dtype, got {first.dtype} and {second.dtype}")
    a = math.sqrt(len(first)) * second[0].astype(np.float64)
    return first.copy(), a.astype(first.dtype)


def module_of(W: np.ndarray, a: np.ndarray) -> Any:
    """``Sequential(Linear, ReLU, Linear)`` with the same outputs, on the CPU; torch's random stream is not touched."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        raise ImportError("to_torch needs PyTorch, which is not installed: pip install torch") from None
    m, d = W.shape
    outer = (a.astype(np.float64) / math.sqrt(m)).astype(W.dtype)[np.newaxis]
    layers = []
    for inputs, outputs, weight in ((d, m, W), (m, 1, outer)):
        layer = torch.nn.Linear(inputs, outputs, bias=False, device="meta")  # draws no initial weights
        layer.weight = torch.nn.Parameter(torch.tensor(weight))
        layers.append(layer)
    return torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1])


def _layers(module: Any) -> list[Any]:
    """The three layers of `module`."""
    if not callable(getattr(module, "children", None)):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    layers = list(module.children())
    if len(layers) != len(_FORM) or not all(map(_is, layers, _FORM)):
        found = ", ".join(type(layer).__name__ for layer in layers) or "none"
        raise ValueError(f"module must have the layers {', '.join(_FORM)}, got {found}")
    return layers


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
