"""Training: settings, one run, a sweep of runs, what they log."""
