"""The configuration of a run: read, checked and built into frozen dataclasses. Imports no jax."""
