"""Flows in a browser: scripts, their runner and its evidence. No Django in here."""
