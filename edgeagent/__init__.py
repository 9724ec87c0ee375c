"""Edge agent for floor hardware and facility monitoring of a call centre."""

__version__ = "0.1.0"
