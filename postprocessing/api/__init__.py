"""The post-processing over HTTP."""
