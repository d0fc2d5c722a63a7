"""What may be logged of a run: the metrics that may be asked for, and the series that they become."""

FLAT_METRICS = ("loss", "flips", "drift", "gram", "lambda_min")
"""What `metrics=` may name for one hidden layer, in the order of the log's columns."""

METRICS = ("loss", "flips", "drift", "drift_norm", "gram", "lambda_min")
"""The same for several."""

SERIES = (
    "loss",
    "flips",
    "drift",
    "drift_a",
    "drift_norm",
    "lambda_min",
    "lambda_min_lower",
    "lambda_min_residual",
    "lambda_min_total",
    "gram_change",
    "gram_limit_distance",
)
"""The series a run may carry; some metrics give several."""
