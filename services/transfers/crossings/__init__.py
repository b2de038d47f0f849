"""Transfers to and from other systems: what their bridge and members tell of them (FED-08..11)."""
