"""Where complaints come from: one class a kind of site, which leaves files in a folder."""
