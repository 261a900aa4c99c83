"""Where an isolated worker puts results: a folder, or a bucket. The only door to S3 of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config


class FolderStore:
    """Under one folder, which the control plane reads as its MEDIA_ROOT."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def put(self, name: str, path: Path, content_type: str) -> None:
        """A reader sees all of it or nothing. Raises OSError, ValueError."""
        target = (self.folder / name).resolve()
        if not target.is_relative_to(self.folder):
            raise ValueError("the name leads out of the folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(path, partial)
        partial.replace(target)


class S3Store:
    """In a bucket, below `own_path`, as the control plane's storage has it. For any thread."""

    def __init__(
        self,
        bucket: str,
        *,
        access_key: str,
        secret_key: str,
        session_token: str = "",
        endpoint: str = "",
        region: str = "",
        own_path: str = "",
    ) -> None:
        self.bucket = bucket
        self.own_path = own_path.strip("/")
        self.client: Any = boto3.client(
            "s3",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=session_token or None,
            endpoint_url=endpoint or None,
            region_name=region or None,
            config=Config(
                connect_timeout=10, read_timeout=30, retries={"mode": "standard", "max_attempts": 3}
            ),
        )

    def put(self, name: str, path: Path, content_type: str) -> None:
        """Raises botocore's errors."""
        key = f"{self.own_path}/{name}" if self.own_path else name
        with path.open("rb") as file:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=file, ContentType=content_type)
