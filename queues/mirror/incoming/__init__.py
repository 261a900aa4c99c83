"""What the outside writes into Mongo, by its subject, and what becomes of it here."""
