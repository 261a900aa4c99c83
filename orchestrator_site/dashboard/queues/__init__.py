"""The queue pages: one shape for appeals, lookups and jobs, and a description of each."""
