"""Engines: what keeps the state of a training run and moves it by one step of exact gradient descent."""
