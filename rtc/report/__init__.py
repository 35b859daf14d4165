"""From files to figures and answers. Reads files, never jax."""
