"""Arithmetic of the scheme: ring.py is Z_q[X]/(X^N + 1), over exact kernels; polynomials.py shares secrets."""
