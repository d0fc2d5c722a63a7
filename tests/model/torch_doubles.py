"""Stand-ins with the interface of PyTorch's modules."""

import numpy as np


class Parameter:
    """What a module's weight can do."""

    requires_grad = True

    def __init__(self, values, steps=()):
        self.values, self.steps = np.asarray(values), steps

    def detach(self):
        return Parameter(self.values, (*self.steps, "detach"))

    def cpu(self):
        return OnHost(self.values) if "detach" in self.steps else self


class OnHost:
    requires_grad = False

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype, copy=copy)


class Linear:
    def __init__(self, weight, bias=None):
        self.weight, self.bias = Parameter(weight), bias


class ReLU:
    pass


class Sequential:
    def __init__(self, *layers):
        self.layers = layers

    def children(self):
        return iter(self.layers)
