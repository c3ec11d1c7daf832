"""Measures what a running mesh costs: `./harkara bench`.

Machines are noisy, so what counts is CPU time per unit of work of the server processes, as the
operating system tells it; the wall clock is context. Nothing here is a test.
"""
