"""What edge-agent costs, against what one would do without it. `python -m benchmarks` runs all, docs/benchmarks.md says what each figure means."""
