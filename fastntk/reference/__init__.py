"""Plain NumPy twins of every operation of the package; NumPy is all they import, but for SciPy's integrator of a flow.

They are the specification (what a fast kernel must compute), the oracle of the tests and the baseline of the
benchmarks. So they are written for reading, in the way a competent NumPy user would write them, and they check only
what NumPy would silently get wrong (shapes that broadcast). Masks are plain boolean arrays of shape (n, m).

Where the plain form is not the fastest NumPy can do, a second function named ``strong_*`` hands the work to BLAS: it
returns the same numbers and is the baseline that a fast kernel has to beat.
"""

from fastntk.reference.deep import (
    deep_deltas,
    deep_forward,
    deep_gradients,
    deep_grams,
    deep_limits,
    deep_train,
)
from fastntk.reference.draws import drawn_gaussians, drawn_signs, drawn_weights
from fastntk.reference.finite import cross_gram
from fastntk.reference.flips import flip_history, flip_marginals
from fastntk.reference.flow import flow
from fastntk.reference.kernel import (
    gram,
    lambda_min,
    second_gram,
    spectral_norm,
    tangent_gram,
)
from fastntk.reference.limit import limit_gram, strong_limit_gram
from fastntk.reference.losses import loss_and_derivative
from fastntk.reference.masks import (
    activation_masks,
    coactivation_counts,
    flip_count,
    flip_fraction,
    masked_sums,
    strong_coactivation_counts,
    strong_masked_sums,
)
from fastntk.reference.network import (
    drift,
    forward,
    loss,
    loss_gradient,
    outputs,
    pre_activations,
    second_layer_gradient,
    step,
)
from fastntk.reference.path import (
    candidates,
    changed_outputs,
    displacements,
    following_counts,
    neuron_path,
    read_out_step,
    residual_path,
)
from fastntk.reference.training import train

__all__ = [
    "activation_masks",
    "candidates",
    "changed_outputs",
    "coactivation_counts",
    "cross_gram",
    "deep_deltas",
    "deep_forward",
    "deep_gradients",
    "deep_grams",
    "deep_limits",
    "deep_train",
    "displacements",
    "drawn_gaussians",
    "drawn_signs",
    "drawn_weights",
    "drift",
    "flip_count",
    "flip_fraction",
    "flip_history",
    "flip_marginals",
    "flow",
    "following_counts",
    "forward",
    "gram",
    "lambda_min",
    "limit_gram",
    "loss",
    "loss_and_derivative",
    "loss_gradient",
    "masked_sums",
    "neuron_path",
    "outputs",
    "pre_activations",
    "read_out_step",
    "residual_path",
    "second_gram",
    "second_layer_gradient",
    "spectral_norm",
    "step",
    "strong_coactivation_counts",
    "strong_limit_gram",
    "strong_masked_sums",
    "tangent_gram",
    "train",
]
