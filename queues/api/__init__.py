"""Devices, people to look up, their tasks and their results over HTTP."""
