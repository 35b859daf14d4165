"""How a stage runs on a machine: devices and their leases, saved states, code digests, the run."""
