"""Firmware bridge (contract follows)."""
