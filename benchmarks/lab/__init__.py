"""A network of hosts on one machine: agents behind shaped links, and what their transfers reach of the link's rate.

Run it as `make lab`, or `.venv/bin/python -m lab` in `benchmarks`; see docs/lab.md.
"""
