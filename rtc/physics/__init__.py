"""Rigid-body physics specialised to one level when its program is traced."""
