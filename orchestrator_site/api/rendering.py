"""Answers as JSON: DRF's bytes, put together by orjson."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

# Times are left to DRF, so that no script sees another format.
AS_DRF = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
_other = JSONEncoder().default


class FastJSONRenderer(JSONRenderer):
    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is not None and not self.get_indent(accepted_media_type or "", {}):
            try:
                return orjson.dumps(data, _other, AS_DRF)
            except orjson.JSONEncodeError:  # a number of more than 64 bits: Python has them
                pass
        rendered: bytes = super().render(data, accepted_media_type, renderer_context)
        return rendered
