"""What makes a case ours, and what becomes of it: decisions from data already in hand."""

from brain.rules.attachments import ATTACHMENT_SOURCES, AttachmentDemand, parse_attachments
from brain.rules.cases import Case, normalise, normalise_row, repair_expediente
from brain.rules.cookies import Cookie, cookie_header, last_moment, parse_cookies
from brain.rules.differences import Difference, flow_differences
from brain.rules.filters import compile_regex, parse_claimed_when, parse_texp, split_patterns
from brain.rules.hosts import (
    host_of,
    host_problems,
    is_cookie_domain,
    is_declared,
    step_problems,
)
from brain.rules.inputs import (
    InvalidInputs,
    check_size,
    declaration_problems,
    filled,
    placeholder_problems,
)
from brain.rules.judging import (
    REQUIRED,
    Judgement,
    MotivoText,
    SiteRules,
    Verdict,
    build_payload,
    choose_motivo,
    fill_motivo,
    judge,
)
from brain.rules.links import build_link, check_template, check_url
from brain.rules.texts import fold
from brain.rules.versions import version_problems

__all__ = [
    "ATTACHMENT_SOURCES",
    "REQUIRED",
    "AttachmentDemand",
    "Case",
    "Cookie",
    "Difference",
    "InvalidInputs",
    "Judgement",
    "MotivoText",
    "SiteRules",
    "Verdict",
    "build_link",
    "build_payload",
    "check_size",
    "check_template",
    "check_url",
    "choose_motivo",
    "compile_regex",
    "cookie_header",
    "declaration_problems",
    "fill_motivo",
    "filled",
    "flow_differences",
    "fold",
    "host_of",
    "host_problems",
    "is_cookie_domain",
    "is_declared",
    "judge",
    "last_moment",
    "normalise",
    "normalise_row",
    "parse_attachments",
    "parse_claimed_when",
    "parse_cookies",
    "parse_texp",
    "placeholder_problems",
    "repair_expediente",
    "split_patterns",
    "step_problems",
    "version_problems",
]
