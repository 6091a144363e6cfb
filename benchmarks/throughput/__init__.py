"""Requests a second and their latency, beside a bare loop of the same engine."""
