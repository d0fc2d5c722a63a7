"""What the theory says of a run: predictions, rates, every statement verified."""
