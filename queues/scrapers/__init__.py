"""Calling the scrapers: plain values in and out, no database in here."""
