"""What makes a case ours, and what becomes of it: decisions from data already in hand."""

from brain.rules.attachments import ATTACHMENT_SOURCES, AttachmentDemand, parse_attachments
from brain.rules.cases import Case, normalise, normalise_row, repair_expediente
from brain.rules.filters import compile_regex, parse_claimed_when, parse_texp, split_patterns
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

__all__ = [
    "ATTACHMENT_SOURCES",
    "REQUIRED",
    "AttachmentDemand",
    "Case",
    "Judgement",
    "MotivoText",
    "SiteRules",
    "Verdict",
    "build_link",
    "build_payload",
    "check_template",
    "check_url",
    "choose_motivo",
    "compile_regex",
    "fill_motivo",
    "fold",
    "judge",
    "normalise",
    "normalise_row",
    "parse_attachments",
    "parse_claimed_when",
    "parse_texp",
    "repair_expediente",
    "split_patterns",
]
