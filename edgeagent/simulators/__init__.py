"""Simulated devices: drivers and recordings served over real protocols."""
