"""One environment step as one kernel: traced for one environment and printed as C.

values.py    arrays of the printed program: names, tables, memory, formulas not yet printed
rules.py     what each primitive of jax becomes
control.py   loops, branches and calls
program.py   the whole function, for CUDA and for any C compiler
nvidia.py    compiled by NVRTC, called from a jax program
"""
