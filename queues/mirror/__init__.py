"""The mirror in Mongo, for the programs that know nothing else. Django's database is the truth."""
