"""Settings, train, sweep, flow, metrics."""
