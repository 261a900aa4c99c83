"""Models of complaints, their files, the objects made of them, and of what was done with them."""

from postprocessing.fields import FIELDS
from postprocessing.models.complaint import (
    Complaint,
    OvAfinia,
    OvAire,
    UnknownCompany,
    companies,
    company_called,
    model_of,
)
from postprocessing.models.run import PostProcessingRun
from postprocessing.models.s3_file import S3File
from postprocessing.models.source_file import SourceFile
from postprocessing.models.verification import Difference, Verification

__all__ = [
    "FIELDS",
    "Complaint",
    "Difference",
    "OvAfinia",
    "OvAire",
    "PostProcessingRun",
    "S3File",
    "SourceFile",
    "UnknownCompany",
    "Verification",
    "companies",
    "company_called",
    "model_of",
]
