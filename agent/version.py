"""The version, as a literal, so that `--version` imports nothing."""

VERSION = "0.1.0"
