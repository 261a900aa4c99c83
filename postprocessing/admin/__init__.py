"""The post-processing in the admin."""

from postprocessing.admin import complaints, files, runs, verifications

__all__ = ["complaints", "files", "runs", "verifications"]
